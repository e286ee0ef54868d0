"""The cases a model did worst on, kept while others are forgotten, and drawn beside the expert's labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from medseg.imaging.image import Image
from medseg.jobs.preview.planes import AXIAL, CORONAL, SAGITTAL, Scene, draw_plane, slice_plane
from medseg.spec.manifest import LabelSpec

_PIXELS, _GAP, _HEAD = 240, 6, 24
_BACKGROUND, _TEXT = (14, 16, 20), (232, 235, 240)


@dataclass(frozen=True, eq=False)
class WorstCase:
    """One case with what the expert and the model say."""

    name: str
    dice: float  # mean over labels
    image: Image
    truth: Image
    found: Image


def keep_worst(kept: Sequence[WorstCase], case: WorstCase, count: int) -> tuple[WorstCase, ...]:
    """The lowest ``count`` of those kept and one more, worst first."""
    return tuple(sorted((*kept, case), key=lambda each: each.dice)[:count])


def draw_worst(case: WorstCase, specs: Sequence[LabelSpec]) -> Picture.Image:
    """Draw three planes, or a single slice, twice: the expert's labels in the left column, the model's in the right.

    The planes meet where expert and model disagree most.
    """
    colors = {spec.value: spec.color for spec in specs}
    single = slice_plane(case.image)
    planes = (AXIAL, CORONAL, SAGITTAL) if single is None else (single,)
    width, height = 2 * _PIXELS + 3 * _GAP, len(planes) * (_PIXELS + _GAP) + _GAP + _HEAD
    canvas = Picture.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    scene = _scene(case)
    for column, (who, labels) in enumerate((("expert", case.truth), ("model", case.found))):
        left = _GAP + column * (_PIXELS + _GAP)
        draw.text((left, 5), f"{who}: {case.name}, Dice {case.dice:.3f}" if column else who, fill=_TEXT, font=font)
        for row, plane in enumerate(planes):
            picture = draw_plane(case.image, labels, colors, plane, scene, _PIXELS)
            canvas.paste(picture, (left, _HEAD + row * (_PIXELS + _GAP)))
    return canvas


def _scene(case: WorstCase) -> Scene:
    wrong = case.truth.array[0] != case.found.array[0]
    shown = wrong | (case.truth.array[0] > 0) | (case.found.array[0] > 0)
    index = np.argwhere(shown if shown.any() else np.ones_like(shown))
    most = [int(np.argmax(wrong.sum(axis=tuple(n for n in range(3) if n != axis)))) for axis in range(3)]
    low, high = index.min(axis=0), index.max(axis=0)
    if not wrong.any():
        most = ((low + high) // 2).tolist()
    affine = case.image.affine
    centre = affine[:3, :3] @ ((low + high) / 2) + affine[:3, 3]
    cut = affine[:3, :3] @ np.array(most, dtype=np.float64) + affine[:3, 3]
    extent = np.abs(affine[:3, :3]) @ (high - low + 1)
    grey = case.image.array[0].astype(np.float64)
    window = np.nanpercentile(grey, [1, 99.5])
    return Scene(centre, cut, float(max(1.3 * extent.max(), 20.0)), (float(window[0]), float(window[1])))

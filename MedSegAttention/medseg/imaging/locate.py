"""Boxes of a template in a patient: where they lie, the image inside them, and the way of an answer back.

A box has its own frame, millimetres along the axes of the head (or along their mirror image). What is cut out of it is
an image in that frame, so that a tilted head is straightened and everything after it works as on any other image. Where
a model says that a head which is hardly tilted need not be straightened, the axes are those of the image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import closest_axes, resample_to
from medseg.imaging.image import Affine, Image, Shape, Spacing
from medseg.imaging.intensity import as_finite
from medseg.imaging.overlap import answer_dtype
from medseg.imaging.registration import SCALES, Registration
from medseg.imaging.steps import Crop, blur
from medseg.spec.errors import ImageError
from medseg.spec.labels import Triple
from medseg.spec.locating import BoxSpec, LocateRule, PlacedBox

LEAST_QUALITY = 0.30  # of a registration that is believed: real heads of every contrast reach more, other scans less
_LEAST_INSIDE = 0.6  # share of a box that must lie in the image
_NEXT = "give the region with --roi (in Slicer: choose a ROI), or crop the image around it"


@dataclass(frozen=True, eq=False)
class LocatedBox:
    """A box of the template in the patient.

    Attributes:
        spec: what the manifest says of it.
        to_patient: ``(4, 4)``, mm of the box's frame -> RAS mm of the patient; rigid, or mirrored.
        low_mm: its corner in the frame.
        high_mm: the corner opposite.
        inside: share of it that the image shows, 0..1.
    """

    spec: BoxSpec
    to_patient: Affine
    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]
    inside: float = 1.0

    @property
    def corners(self) -> NDArray[np.float64]:
        """Its eight corners, ``(8, 4)`` homogeneous RAS mm of the patient."""
        frame = [(*corner, 1.0) for corner in product(*zip(self.low_mm, self.high_mm, strict=True))]
        return np.array(frame) @ self.to_patient.T

    @property
    def placed(self) -> PlacedBox:
        """Where it lies, in numbers that travel."""
        unit = np.diag([*(self.high_mm - self.low_mm), 1.0])  # a cube of 1 mm around 0 -> the box, in the frame
        unit[:3, 3] = (self.low_mm + self.high_mm) / 2
        return placed_box(self.spec.name, self.to_patient @ unit)

    def grid(self, spacing: Spacing) -> tuple[Shape, Affine]:
        """Voxels of about this spacing that fill it, and their affine in the frame."""
        size = self.high_mm - self.low_mm
        i, j, k = (max(1, round(mm / step)) for mm, step in zip(size, spacing, strict=True))
        affine = np.diag([*(spacing), 1.0])
        middle = (self.low_mm + self.high_mm) / 2
        affine[:3, 3] = middle - (np.array([i, j, k]) - 1) / 2 * np.array(spacing)
        return (i, j, k), affine


def placed_box(name: str, edges: Affine) -> PlacedBox:
    """Describe a box by its middle, the lengths of its edges and their directions.

    Args:
        name: of the box.
        edges: ``(4, 4)``, the columns its three edges, mm, and its middle. The box of a mirrored frame is that of a
            right-handed one.
    """
    lengths = np.linalg.norm(edges[:3, :3], axis=0)
    axes = edges[:3, :3] / lengths
    if np.linalg.det(axes) < 0:
        axes = axes * (-1.0, 1.0, 1.0)
    i, j, k = (_mm(axes[:, axis]) for axis in range(3))
    return PlacedBox(name=name, centre_mm=_mm(edges[:3, 3]), size_mm=_mm(lengths), axis_i=i, axis_j=j, axis_k=k)


def _mm(numbers: NDArray[np.float64]) -> Triple:
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def is_located(rule: LocateRule | None, shape: Shape, affine: Affine, *, has_region: bool) -> bool:
    """Whether an image is one in which a model must be located first: by its size alone, voxels are not needed.

    Args:
        rule: of the model.
        shape: voxels of the image along i, j, k.
        affine: ``(4, 4)`` of the image.
        has_region: whether the user said where to segment.
    """
    if rule is None or has_region:
        return False
    sides = np.array(shape) * np.linalg.norm(affine[:3, :3], axis=0)
    return bool((sides >= rule.crop_below_mm).any())


def place_boxes(rule: LocateRule, found: Registration, image: Image) -> tuple[LocatedBox, ...]:
    """Bring the boxes of a rule to a patient.

    Raises:
        ImageError: when the registration is not to be believed, or a box lies outside the image.
    """
    scales = np.linalg.svd(found.to_patient[:3, :3])[1]
    if found.quality < LEAST_QUALITY or scales.min() < SCALES[0] or scales.max() > SCALES[1]:
        sizes = f"{scales.min():.2f} to {scales.max():.2f}"
        msg = (
            "no head that the model knows was found in this image: it agrees with the template by "
            f"{found.quality:.2f} (at least {LEAST_QUALITY:.2f} is believed) at {sizes} times its size "
            f"({SCALES[0]:.2f} to {SCALES[1]:.2f} are believed); {_NEXT}"
        )
        raise ImageError(msg)
    boxes = tuple(_placed(spec, found.to_patient, image, rule.straighten_from_deg) for spec in rule.boxes)
    for box in boxes:
        if box.inside < _LEAST_INSIDE:
            msg = (
                f"the image shows {box.inside:.0%} of the box of the {box.spec.name}, at least {_LEAST_INSIDE:.0%} is "
                f"needed; take an image that shows it, or {_NEXT}"
            )
            raise ImageError(msg)
    return boxes


def nominal_boxes(rule: LocateRule) -> tuple[LocatedBox, ...]:
    """The boxes in a head like the template, for a forecast."""
    everywhere = Image(np.zeros((1, 1, 1, 1), dtype=np.uint8), np.diag([1e4, 1e4, 1e4, 1.0]))
    return tuple(_placed(spec, np.eye(4), everywhere) for spec in rule.boxes)


def cut_box(image: Image, box: LocatedBox, spacing: Spacing) -> Image:
    """Sample what an image shows of a box, along the axes of the head; what is finer is blurred first.

    Args:
        image: ``(C, I, J, K)`` of any orientation.
        box: in it.
        spacing: of the result, mm.

    Returns:
        ``(C, i, j, k)`` float32, with its affine in the frame of the box. Beyond the image is its smallest value.
    """
    shape, affine = box.grid(spacing)
    part = _around(image, box).apply(image)
    finite = as_finite(part.array)
    ratio = np.array(spacing) / np.array(image.spacing)
    sigmas = [float(np.sqrt(f**2 - 1) / np.sqrt(8 * np.log(2))) if f > 1.5 else 0.0 for f in ratio]
    array = np.empty((image.channel_count, *shape), dtype=np.float32)
    for channel, target in zip(finite, array, strict=True):
        blurred = Image(blur(channel, (sigmas[0], sigmas[1], sigmas[2]))[None], part.affine)
        outside = float(channel.min())
        target[...] = resample_to(blurred, shape, box.to_patient @ affine, order="linear", outside=outside).array[0]
    return Image(array, affine)


class BoxCanvas:
    """Labels and probabilities on the input's grid, filled box by box.

    Where two boxes claim a voxel, the surer one has it.

    Args:
        image: the input.
        label_count: labels of the result, the background included.
        probabilities: whether they are kept too.
    """

    def __init__(self, image: Image, label_count: int, *, probabilities: bool) -> None:
        self._image = image
        self.labels: NDArray[Any] = np.zeros(image.shape, answer_dtype(label_count, overlap=False))
        self.probabilities = np.zeros((label_count, *image.shape), np.float32) if probabilities else None
        if self.probabilities is not None:
            self.probabilities[0] = 1.0
        self._best: dict[int, tuple[Crop, NDArray[np.float32]]] = {}

    def paint(self, box: LocatedBox, scores: NDArray[np.float32], affine: Affine, values: Sequence[int]) -> None:
        """Give the voxels of a box their labels.

        Args:
            box: where.
            scores: ``(L, i, j, k)`` probabilities, the background first.
            affine: ``(4, 4)`` of their grid, in the frame of the box.
            values: in the result, of each label but the background.
        """
        crop = _around(self._image, box)
        part = crop.apply(Image(self.labels[None], self._image.affine))
        where = part.array[0]
        background = _sampled(scores[0], box, affine, part, outside=1.0)
        best = background.copy()
        claimed = self._claims(crop)
        found = np.zeros(where.shape, dtype=where.dtype)
        for value, score in zip(values, scores[1:], strict=True):
            own = _sampled(score, box, affine, part, outside=0.0)
            found[own > best] = value
            np.maximum(best, own, out=best)
            if self.probabilities is not None:
                kept = crop.apply(Image(self.probabilities[value][None], self._image.affine)).array[0]
                np.maximum(kept, own, out=kept)
        if self.probabilities is not None:
            kept = crop.apply(Image(self.probabilities[0][None], self._image.affine)).array[0]
            np.minimum(kept, background, out=kept)
        wins = (found > 0) & (best > claimed)
        where[wins] = found[wins]
        self._best[len(self._best)] = (crop, np.where(wins, best, 0.0).astype(np.float32))

    def _claims(self, crop: Crop) -> NDArray[np.float32]:
        """How sure the boxes before are, in the voxels of a crop."""
        claimed = np.zeros(crop.shape, dtype=np.float32)
        for other, best in self._best.values():
            low = np.maximum(crop.start, other.start)
            high = np.minimum(np.add(crop.start, crop.shape), np.add(other.start, other.shape))
            if (low < high).all():
                mine, theirs = (
                    tuple(slice(a - s, b - s) for a, b, s in zip(low, high, each.start, strict=True))
                    for each in (crop, other)
                )
                claimed[mine] = np.maximum(claimed[mine], best[theirs])
        return claimed


def _sampled(
    score: NDArray[np.float32], box: LocatedBox, affine: Affine, part: Image, *, outside: float
) -> NDArray[np.float32]:
    placed = Image(score[None], box.to_patient @ affine)
    sampled: NDArray[np.float32] = resample_to(placed, part.shape, part.affine, order="linear", outside=outside).array[
        0
    ]
    return sampled


def _placed(spec: BoxSpec, to_patient: Affine, image: Image, straighten_from_deg: float = 0.0) -> LocatedBox:
    left, _, right = np.linalg.svd(to_patient[:3, :3])
    frame = np.eye(4)
    frame[:3, :3] = left @ right  # the rotation that is closest
    if spec.mirror:
        frame[:3, 0] *= -1
    corners = np.array([(*corner, 1.0) for corner in product(*zip(spec.low_mm, spec.high_mm, strict=True))])
    own = (corners @ to_patient.T @ np.linalg.inv(frame).T)[:, :3]
    middle, half = (own.min(axis=0) + own.max(axis=0)) / 2, (own.max(axis=0) - own.min(axis=0)) / 2
    if not spec.scales:
        half = (np.array(spec.high_mm) - np.array(spec.low_mm)) / 2
    box = LocatedBox(spec, frame, middle - half, middle + half)
    wide = LocatedBox(spec, frame, box.low_mm - spec.margin_mm, box.high_mm + spec.margin_mm)
    if straighten_from_deg > 0:
        wide = _as_the_image_lies(wide, image, straighten_from_deg)
    return replace(wide, inside=_share_inside(box, image))


def _as_the_image_lies(box: LocatedBox, image: Image, below_deg: float) -> LocatedBox:
    """Turn a box about its middle onto the axes and the voxels of an image, if that is a turn of fewer degrees."""
    axes = np.empty((3, 3))
    steps = np.empty(3)
    for column, (row, sign) in enumerate(closest_axes(image.affine)):
        steps[row] = image.spacing[column]
        axes[:, row] = sign * image.affine[:3, column] / image.spacing[column]
    left, _, right = np.linalg.svd(axes)  # a gantry may be tilted
    axes = left @ right
    frame = np.eye(4)
    frame[:3, :3] = axes
    if np.linalg.det(box.to_patient[:3, :3]) < 0:
        frame[:3, 0] *= -1
    turn = frame[:3, :3].T @ box.to_patient[:3, :3]
    if np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) >= below_deg:
        return box
    to_frame = np.linalg.inv(frame)
    middle = (to_frame @ box.corners.mean(axis=0))[:3]
    half = (box.high_mm - box.low_mm) / 2
    edge = (to_frame @ image.affine @ [-0.5, -0.5, -0.5, 1.0])[:3]
    low, high = (edge + steps * np.round((corner - edge) / steps) for corner in (middle - half, middle + half))
    return LocatedBox(box.spec, frame, low, high)


def _share_inside(box: LocatedBox, image: Image) -> float:
    """Share of a box, without its margin, that an image shows."""
    points = [np.linspace(low, high, 12) for low, high in zip(box.low_mm, box.high_mm, strict=True)]
    grid = np.stack([*np.meshgrid(*points, indexing="ij"), np.ones((12, 12, 12))], axis=-1).reshape(-1, 4)
    voxels = (grid @ box.to_patient.T @ np.linalg.inv(image.affine).T)[:, :3]
    return float(((voxels >= -0.5) & (voxels <= np.array(image.shape) - 0.5)).all(axis=1).mean())


def _around(image: Image, box: LocatedBox) -> Crop:
    """The voxels of an image that a box touches, and two more on every side."""
    voxels = (box.corners @ np.linalg.inv(image.affine).T)[:, :3]
    start = np.clip(np.floor(voxels.min(axis=0)) - 2, 0, np.array(image.shape) - 1)
    stop = np.clip(np.ceil(voxels.max(axis=0)) + 3, start + 1, image.shape)
    return Crop.to_box(image, _triple(start), _triple(stop))


def _triple(values: Iterable[float]) -> tuple[int, int, int]:
    i, j, k = map(int, values)
    return i, j, k

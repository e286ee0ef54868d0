"""One picture of a segmentation: planes with outlines, the segments as surfaces, and a legend; or a single slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from medseg.imaging.geometry import voxel_corners
from medseg.imaging.image import Image
from medseg.imaging.overlap import painted
from medseg.jobs.preview.planes import AXIAL, CORONAL, SAGITTAL, Plane, Scene, draw_plane, slice_plane
from medseg.jobs.preview.surface import SurfaceView, render_surface
from medseg.spec.manifest import IntTriple, LabelSpec

_PANEL, _GAP, _LEGEND = 500, 8, 300  # pixels
_BACKGROUND, _SHADE, _TEXT, _MUTED = (14, 16, 20), (22, 25, 31), (232, 235, 240), (142, 150, 163)
_ROW = 30  # pixels of a line in the legend
_LEAST_SIDE_MM = 40.0  # a tiny segment is shown with this much around it


@dataclass(frozen=True)
class _Corner:
    """Upper left corner of a panel, in pixels."""

    x: int
    y: int


def draw_preview(image: Image, labels: Image, specs: Sequence[LabelSpec]) -> Picture.Image:
    """Draw a segmentation over its image, in radiological convention (patient's right on the left).

    Args:
        image: ``(C, I, J, K)``; the first channel is shown.
        labels: integers ``(N, I, J, K)`` on the same grid; of several layers a later segment covers those before.
        specs: name and colour of each label.

    Returns:
        An RGB picture of 1324 x 1024 pixels.
    """
    sizes = replace(labels, spacing_known=image.spacing_known)
    labels = painted(labels, specs)
    colors = {spec.value: spec.color for spec in specs}
    width, height = 2 * _PANEL + _LEGEND + 3 * _GAP, 2 * _PANEL + 3 * _GAP
    canvas = Picture.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    scene = _scene(image, labels)
    far = 2 * _GAP + _PANEL
    legend = _Corner(far + _PANEL + 2 * _GAP, _GAP)
    if (single := slice_plane(image)) is not None:
        side = 2 * _PANEL + _GAP
        canvas.paste(draw_plane(image, labels, colors, single, scene, side), (_GAP, _GAP))
        if image.spacing_known:  # else it is a picture, which does not say how it lies either
            _letters(draw, single, _Corner(_GAP, _GAP), side)
            _scale_bar(draw, _Corner(_GAP, _GAP), scene.side_mm / side, side)
        _draw_legend(draw, sizes, specs, legend, height)
        return canvas
    corners = {AXIAL: _Corner(_GAP, _GAP), CORONAL: _Corner(_GAP, far), SAGITTAL: _Corner(far, far)}
    for plane, corner in corners.items():
        canvas.paste(draw_plane(image, labels, colors, plane, scene, _PANEL), (corner.x, corner.y))
        _letters(draw, plane, corner, _PANEL)
        if image.spacing_known:
            _scale_bar(draw, corner, scene.side_mm / _PANEL, _PANEL)
    _draw_surface(canvas, draw, labels, colors, _Corner(far, _GAP))
    _draw_legend(draw, sizes, specs, legend, height)
    return canvas


def _scene(image: Image, labels: Image) -> Scene:
    """Show the segments with their surroundings; cut where most of them is seen."""
    index = np.argwhere(labels.array[0] > 0)
    outer = (voxel_corners(image.shape) @ image.affine.T)[:, :3]
    low, high = outer.min(axis=0), outer.max(axis=0)
    if len(index) == 0:
        middle = (low + high) / 2
        return Scene(middle, middle, float((high - low).max()), _window(image, None))
    world = index[:: max(1, len(index) // 500_000)] @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    first, last = world.min(axis=0), world.max(axis=0)
    side = float(min((high - low).max(), max(1.7 * (last - first).max(), _LEAST_SIDE_MM)))
    centre = (first + last) / 2
    room = np.maximum((high - low - side) / 2, 0.0)  # keep the picture filled: do not look past the volume's edge
    centre = np.clip(centre, (low + high) / 2 - room, (low + high) / 2 + room)
    cut = np.array([_fullest(world[:, axis], max(image.spacing)) for axis in range(3)])
    box = (index.min(axis=0), index.max(axis=0) + 1)
    return Scene(centre, cut, side, _window(image, box))


def _fullest(positions: NDArray[np.float64], width: float) -> float:
    """Where along an axis most of the segments is cut, favouring their middle."""
    low, high = float(positions.min()), float(positions.max())
    bins = max(1, min(256, int((high - low) / width)))
    counts, edges = np.histogram(positions, bins=bins)
    middles = (edges[:-1] + edges[1:]) / 2
    central = np.exp(-0.5 * ((middles - np.median(positions)) / max(0.3 * (high - low), width)) ** 2)
    return float(middles[np.argmax(counts * central)])


def _window(image: Image, box: tuple[NDArray[np.intp], NDArray[np.intp]] | None) -> tuple[float, float]:
    """Grey values to show: the 1st and 99.5th percentile, around the segments where there are some."""
    array = image.array[0]
    if box is not None:
        grown = [(max(0, int(a) - 12), int(b) + 12) for a, b in zip(*box, strict=True)]
        array = array[tuple(slice(a, b) for a, b in grown)]
    step = max(1, round((array.size / 2_000_000) ** (1 / 3)))
    values = array[::step, ::step, ::step].astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size and float(np.percentile(values, 40)) < float(np.min(values)) + 1e-9:
        values = values[values > np.min(values)]  # more than a third is empty background, which says nothing
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, [1.0, 99.5])
    if low < -500 < 0 < high:  # CT with air in it: air is black already at -200 HU
        low = -200.0
    return (float(low), float(high)) if high > low else (float(low) - 1, float(low) + 1)


def _draw_surface(
    canvas: Picture.Image, draw: ImageDraw.ImageDraw, labels: Image, colors: Mapping[int, IntTriple], corner: _Corner
) -> None:
    """Fill the panel with the surfaces, at twice the size and shrunk, which smooths their edges."""
    glow = np.hypot(*(np.mgrid[:_PANEL, :_PANEL] / (_PANEL - 1) - np.array([0.42, 0.5])[:, None, None]))
    shade = np.clip(1 - glow, 0, 1)[..., None] ** 1.5 * np.array([34.0, 39.0, 49.0]) + np.array(_BACKGROUND)
    panel = Picture.fromarray(shade.astype(np.uint8))
    view = render_surface(labels, colors, size=(2 * _PANEL, 2 * _PANEL))
    if view is None:
        canvas.paste(panel, (corner.x, corner.y))
        middle = (corner.x + _PANEL // 2, corner.y + _PANEL // 2)
        draw.text(middle, "nothing was segmented", fill=_MUTED, font=_font(18), anchor="mm")
        return
    # colours are multiplied by coverage before shrinking, or the black behind them would fringe the edges
    covered = view.rgba.astype(np.float32)
    covered[..., :3] *= covered[..., 3:] / 255
    small = covered.reshape(_PANEL, 2, _PANEL, 2, 4).mean(axis=(1, 3))
    blend = np.asarray(panel) * (1 - small[..., 3:] / 255) + small[..., :3]
    canvas.paste(Picture.fromarray((blend + 0.5).astype(np.uint8)), (corner.x, corner.y))
    if labels.spacing_known:
        _scale_bar(draw, corner, 2 * view.mm_per_pixel, _PANEL)
    _axes(draw, view, _Corner(corner.x + _PANEL - 48, corner.y + _PANEL - 48))


def _axes(draw: ImageDraw.ImageDraw, view: SurfaceView, origin: _Corner) -> None:
    """Draw the patient's axes as short arrows with letters, those that point away first."""
    arrows = (("L", (-1.0, 0.0, 0.0)), ("A", (0.0, 1.0, 0.0)), ("S", (0.0, 0.0, 1.0)))
    for letter, direction in sorted(arrows, key=lambda arrow: float(np.dot(arrow[1], view.camera.towards))):
        x, y = float(np.dot(direction, view.camera.right)), -float(np.dot(direction, view.camera.up))
        draw.line((origin.x, origin.y, origin.x + 24 * x, origin.y + 24 * y), fill=_MUTED, width=2)
        draw.text((origin.x + 35 * x, origin.y + 35 * y), letter, fill=_TEXT, font=_font(15), anchor="mm")


def _letters(draw: ImageDraw.ImageDraw, plane: Plane, corner: _Corner, side: int) -> None:
    """Write the directions at the edges of a panel."""
    half, inset = side // 2, 16
    places = ((inset, half), (side - inset, half), (half, inset), (half, side - inset))
    for letter, (x, y) in zip(plane.letters, places, strict=True):
        _text(draw, (corner.x + x, corner.y + y), letter, 18, "mm")
    _text(draw, (corner.x + 12, corner.y + 10), plane.name, 16, "la", _MUTED)


def _scale_bar(draw: ImageDraw.ImageDraw, corner: _Corner, mm_per_pixel: float, side: int) -> None:
    """Draw a bar of a round number of millimetres, about a fifth of the panel long."""
    wanted = 0.2 * side * mm_per_pixel
    decade = 10.0 ** np.floor(np.log10(wanted))
    length = max(step * decade for step in (1, 2, 5) if step * decade <= wanted * 1.001)
    x, y, pixels = corner.x + 14, corner.y + side - 14, length / mm_per_pixel
    draw.line((x - 1, y + 1, x + pixels + 1, y + 1), fill=(0, 0, 0), width=5)
    draw.line((x, y, x + pixels, y), fill=_TEXT, width=3)
    _text(draw, (x, y - 7), f"{length:g} mm", 14, "lb")


def _draw_legend(
    draw: ImageDraw.ImageDraw, labels: Image, specs: Sequence[LabelSpec], corner: _Corner, height: int
) -> None:
    """List the segments that were found with their sizes; the largest ones where not all fit."""
    counts = np.bincount(labels.array.ravel(), minlength=max([0, *(spec.value for spec in specs)]) + 1)
    found = [spec for spec in specs if counts[spec.value]]
    right = corner.x + _LEGEND - 3 * _GAP
    draw.text((corner.x, corner.y + 10), "segment", fill=_MUTED, font=_font(16))
    draw.text((right, corner.y + 10), labels.size_unit, fill=_MUTED, font=_font(16), anchor="ra")
    room = (height - corner.y - 90) // _ROW
    listed = found
    if len(found) > room:
        largest = sorted(found, key=lambda spec: int(counts[spec.value]), reverse=True)[:room]
        listed = [spec for spec in found if spec in largest]
    y = corner.y + 42
    for spec in listed:
        size = labels.size(counts[spec.value])
        draw.rounded_rectangle((corner.x, y + 3, corner.x + 14, y + 17), radius=4, fill=spec.color)
        number = f"{size:.0f}" if size >= 100 or labels.size_unit == "voxels" else f"{size:.2f}"
        draw.text((right, y), number, fill=_TEXT, font=_font(16), anchor="ra")
        name, letters = _fitted(spec.name, right - corner.x - 90)
        draw.text((corner.x + 24, y + 16 - letters), name, fill=_TEXT, font=_font(letters))
        y += _ROW
    rest = [f"{n} {what}" for n, what in ((len(found) - len(listed), "more"), (len(specs) - len(found), "empty")) if n]
    if rest:
        draw.text((corner.x + 24, y), "and " + ", ".join(rest), fill=_MUTED, font=_font(15))


def _fitted(name: str, width: int) -> tuple[str, int]:
    """A name in the largest letters in which it is no wider than so many pixels; cut where none are small enough.

    Returns:
        What is written, and the size.
    """
    for size in (16, 15, 14, 13):
        if _font(size).getlength(name) <= width:
            return name, size
    while name and _font(13).getlength(name + "...") > width:
        name = name[:-1]
    return f"{name.rstrip()}...", 13


def _text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, anchor: str, fill: IntTriple = _TEXT
) -> None:
    """Write over a picture: light letters with a thin dark edge."""
    draw.text(place, text, fill=fill, font=_font(size), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)

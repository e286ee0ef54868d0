"""Numbers of each segment: voxels, size, surface, and what the volume shows inside; as a table and as a file."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from medseg.imaging.geometry import resample_to, voxel_corners
from medseg.imaging.image import Affine, Image, SizeUnit
from medseg.io.atomic import replacing
from medseg.mrml.cuts import cut_segment, shifted
from medseg.mrml.grids import Node, ijk_to_world, parent_to_world
from medseg.mrml.measured_grid import measured_grid
from medseg.mrml.volumes import channel_view

# Heading of each column -> unit and field; those of a size are there where segments have such a size.
COLUMNS = {
    "Segment": ("", "name"),
    "Segment ID": ("", "segment_id"),
    "Voxels": ("", "voxels"),
    "Volume (ml)": ("ml", "volume_ml"),
    "Surface (mm2)": ("mm2", "surface_mm2"),
    "Area (cm2)": ("cm2", "area_cm2"),
    "Mean intensity": ("", "mean"),
    "Std intensity": ("", "std"),
}
_IN_A = {"Volume (ml)": "ml", "Surface (mm2)": "ml", "Area (cm2)": "cm2"}  # volume or single slice, of known spacing

_sitk: Any = SimpleITK  # its own annotations are partial
_SQUARE = 1e-4  # cosine between two axes below which a grid counts as rectangular
_SLACK = 1e-3  # of a voxel: grids that differ by less are one


@dataclass(frozen=True)
class SegmentStatistics:
    """One row of the table a user sees; lengths are those of the world, parent transforms included."""

    segment_id: str
    name: str
    voxels: int  # of the segment's own labelmap
    volume_ml: float  # as the surface nan in a single slice, and where the spacing is unknown
    surface_mm2: float
    mean: float  # of the finite voxels of the volume inside the segment; nan where there is none
    std: float  # of a sample (n - 1), as in Slicer's Segment Statistics; 0 for one voxel
    area_cm2: float = math.nan  # of a single slice whose spacing is known

    @property
    def size_unit(self) -> SizeUnit:
        """What the size of this segment is given in; see ``Image.size_unit``."""
        return "ml" if math.isfinite(self.volume_ml) else "cm2" if math.isfinite(self.area_cm2) else "voxels"


def statistics_steps(segmentation_node: Node, volume_node: Node = None) -> Iterator[SegmentStatistics]:
    """Measure one segment a step.

    Args:
        segmentation_node: what to measure.
        volume_node: the first component of its voxels is averaged inside each segment; None: no intensities.

    Returns:
        Yields a row for each segment, in the order of the segmentation; empty ones have no surface and nan means.

    Raises:
        ImageError: at once, if one of the two hangs under a non-linear transform or the volume has no voxels.
    """
    to_world = parent_to_world(segmentation_node)
    volume = None if volume_node is None else Image(channel_view(volume_node)[:1], ijk_to_world(volume_node))
    return _rows(segmentation_node, to_world, volume, measured_grid(segmentation_node, volume_node))


def _rows(node: Node, to_world: Affine, volume: Image | None, grid: Image | None) -> Iterator[SegmentStatistics]:
    unit = "ml" if grid is None else grid.size_unit
    for segment_id in list(node.GetSegmentation().GetSegmentIDs()):
        segment = node.GetSegmentation().GetSegment(segment_id)
        if segment is None:  # taken out between two steps
            continue
        name = segment.GetName() or segment_id
        cut = cut_segment(node, segment_id)
        if cut is None:
            nothing = {each: 0.0 if each == unit else math.nan for each in ("ml", "cm2")}
            size = nothing["ml"]
            yield SegmentStatistics(segment_id, name, 0, size, size, math.nan, math.nan, nothing["cm2"])
            continue
        mask = Image(cut.mask[None], to_world @ cut.affine)
        mean, std = (math.nan, math.nan) if volume is None else _intensity(mask, volume)
        volume_ml = surface = area = math.nan
        if grid is not None and unit == "cm2":  # the labelmap may have other voxels, finer ones for instance
            area = grid.area_cm2(cut.voxel_count * mask.voxel_volume_mm3 / grid.voxel_volume_mm3)
        elif unit == "ml":
            volume_ml, surface = mask.volume_ml(cut.voxel_count), surface_area_mm2(mask)
        yield SegmentStatistics(segment_id, name, cut.voxel_count, volume_ml, surface, mean, std, area)


def _intensity(mask: Image, volume: Image) -> tuple[float, float]:
    """Mean and standard deviation of a volume inside a mask; on another grid the mask goes to the volume's."""
    to_volume = np.linalg.solve(volume.affine, mask.affine)
    spots = (voxel_corners(mask.shape) @ to_volume.T)[:, :3]
    start = np.maximum(np.floor(spots.min(axis=0) + 0.5 + _SLACK), 0).astype(int)
    stop = np.minimum(np.ceil(spots.max(axis=0) + 0.5 - _SLACK), volume.shape).astype(int)
    if (start >= stop).any():
        return math.nan, math.nan
    box = tuple(slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
    offset = np.round(to_volume[:3, 3]).astype(int)
    if np.abs(to_volume - shifted(offset)).max() < _SLACK / max(mask.shape):
        first = (start - offset).tolist()
        here = mask.array[0][tuple(slice(a, a + b) for a, b in zip(first, (stop - start).tolist(), strict=True))]
    else:
        affine = volume.affine @ shifted(start)
        i, j, k = (stop - start).tolist()
        here = resample_to(mask, (i, j, k), affine, order="nearest").array[0].astype(bool)
    values = volume.array[0][box][here]
    inside = values[np.isfinite(values)].astype(np.float64)
    if not inside.size:
        return math.nan, math.nan
    return float(inside.mean()), float(inside.std(ddof=1)) if inside.size > 1 else 0.0


def add_statistics_table(
    scene: Node, rows: Sequence[SegmentStatistics], name: str, dice: Mapping[str, float] | None = None
) -> Node:
    """Add a table with a typed column for each number, its unit in the heading and as the column's property.

    Args:
        scene: the MRML scene.
        rows: of ``statistics_steps``.
        name: of the new node.
        dice: scores by the names of segments, as of ``dice_steps``: one more column; None: none.

    Returns:
        The ``vtkMRMLTableNode``.
    """
    import vtk

    headings, cells = _headings(rows, dice), [_cells(row, rows, dice) for row in rows]
    kinds = (vtk.vtkStringArray, vtk.vtkStringArray, vtk.vtkIntArray, *[vtk.vtkDoubleArray] * (len(headings) - 3))
    columns = list(zip(*cells, strict=True)) or [()] * len(headings)
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    changing = node.StartModify()
    for (heading, unit), kind, values in zip(headings.items(), kinds, columns, strict=True):
        column = kind()
        column.SetName(heading)
        for value in values:
            column.InsertNextValue(value)
        node.AddColumn(column)
        if unit:
            node.SetColumnUnitLabel(heading, unit)
    node.SetUseColumnNameAsColumnHeader(True)
    node.EndModify(changing)
    return node


def write_statistics(
    path: Path,
    rows: Sequence[SegmentStatistics],
    dice: Mapping[str, float] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write the table as a CSV file; it appears whole or not at all. Numbers that are not there are empty.

    Args:
        path: of the file.
        rows: of ``statistics_steps``.
        dice: scores by the names of segments: one more column; None: none.
        overwrite: whether a file that is there may be replaced.

    Raises:
        JobError: if the folder cannot take it.
        OutputExists: if a file is there and overwriting was not allowed.
    """
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_headings(rows, dice))
        for row in rows:
            cells = _cells(row, rows, dice)
            writer.writerow("" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells)


def _columns(rows: Sequence[SegmentStatistics]) -> dict[str, tuple[str, str]]:
    """The columns of a table: of sizes those that its segments, all of one volume, have."""
    units = {row.size_unit for row in rows} or {"ml"}
    return {heading: column for heading, column in COLUMNS.items() if _IN_A.get(heading) in {None, *units}}


def _headings(rows: Sequence[SegmentStatistics], dice: Mapping[str, float] | None) -> dict[str, str]:
    units = {heading: unit for heading, (unit, _) in _columns(rows).items()}
    return units if dice is None else {**units, "Dice": ""}


def _cells(
    row: SegmentStatistics, rows: Sequence[SegmentStatistics], dice: Mapping[str, float] | None
) -> tuple[Any, ...]:
    score = () if dice is None else (float(dice.get(row.name, math.nan)),)
    return (*(getattr(row, field) for _, field in _columns(rows).values()), *score)


def surface_area_mm2(mask: Image) -> float:
    """Area of the boundary of a mask, from the lines of 13 directions that cross it.

    Lehmann and Legland, "Efficient N-Dimensional surface estimation using Crofton formula and run-length encoding",
    Insight Journal 2012.

    Unbiased for round shapes; boxes along the axes come out up to a tenth too small, as everywhere this measure is
    used (ITK's perimeter, and with it Slicer's).

    Args:
        mask: ``(1, I, J, K)`` bool with background all around it, on any grid; a sheared one is sampled anew on the
            rectangular one closest to it.
    """
    straight = _rectangular(mask)
    pixels = _sitk.GetImageFromArray(np.ascontiguousarray(straight.array[0].transpose(2, 1, 0)).view(np.uint8))
    pixels.SetSpacing(straight.spacing)
    measure = _sitk.LabelShapeStatisticsImageFilter()
    measure.ComputePerimeterOn()
    measure.Execute(pixels)
    return float(measure.GetPerimeter(1)) if measure.HasLabel(1) else 0.0


def _rectangular(mask: Image) -> Image:
    """The mask on a grid along orthonormal axes that holds all of it, voxels no larger than its own."""
    axes = mask.affine[:3, :3] / np.array(mask.spacing)
    cosines = axes.T @ axes - np.eye(3)
    if np.abs(cosines).max() < _SQUARE:
        return mask
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(mask.affine[:3, :3])[0] * np.array(mask.spacing)
    corners = (voxel_corners(mask.shape) @ np.linalg.solve(affine, mask.affine).T)[:, :3]
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    affine[:3, 3] = affine[:3, :3] @ low
    i, j, k = (int(size) for size in high - low + 1)
    return resample_to(mask, (i, j, k), affine, order="nearest")

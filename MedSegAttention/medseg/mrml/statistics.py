"""Numbers of each segment: voxels, volume, surface, and what the volume shows inside; as a table and as a file."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import resample_to, voxel_corners
from medseg.imaging.image import Affine, Image
from medseg.io.atomic import replacing
from medseg.mrml.areas import surface_area_mm2
from medseg.mrml.cuts import cut_segment
from medseg.mrml.grids import Node, ijk_to_world, parent_to_world
from medseg.mrml.volumes import channel_view

# Heading of each column -> unit; the order is that of the fields below.
COLUMNS = {
    "Segment": "",
    "Segment ID": "",
    "Voxels": "",
    "Volume (ml)": "ml",
    "Surface (mm2)": "mm2",
    "Mean intensity": "",
    "Std intensity": "",
}

_SLACK = 1e-3  # of a voxel: grids that differ by less are one


@dataclass(frozen=True)
class SegmentStatistics:
    """One row of the table a user sees; lengths are those of the world, parent transforms included."""

    segment_id: str
    name: str
    voxels: int  # of the segment's own labelmap
    volume_ml: float
    surface_mm2: float
    mean: float  # of the finite voxels of the volume inside the segment; nan where there is none
    std: float  # of a sample (n - 1), as in Slicer's Segment Statistics; 0 for one voxel


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
    return _rows(segmentation_node, to_world, volume)


def _rows(node: Node, to_world: Affine, volume: Image | None) -> Iterator[SegmentStatistics]:
    for segment_id in list(node.GetSegmentation().GetSegmentIDs()):
        segment = node.GetSegmentation().GetSegment(segment_id)
        if segment is None:  # taken out between two steps
            continue
        name = segment.GetName() or segment_id
        cut = cut_segment(node, segment_id)
        if cut is None:
            yield SegmentStatistics(segment_id, name, 0, 0.0, 0.0, math.nan, math.nan)
            continue
        mask = Image(cut.mask[None], to_world @ cut.affine)
        mean, std = (math.nan, math.nan) if volume is None else _intensity(mask, volume)
        millilitres = cut.voxel_count * mask.voxel_volume_mm3 / 1000
        yield SegmentStatistics(segment_id, name, cut.voxel_count, millilitres, surface_area_mm2(mask), mean, std)


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
    if np.abs(to_volume - _shifted(offset)).max() < _SLACK / max(mask.shape):
        first = (start - offset).tolist()
        here = mask.array[0][tuple(slice(a, a + b) for a, b in zip(first, (stop - start).tolist(), strict=True))]
    else:
        affine = volume.affine @ _shifted(start)
        i, j, k = (stop - start).tolist()
        here = resample_to(mask, (i, j, k), affine, order="nearest").array[0].astype(bool)
    return _moments(volume.array[0][box][here])


def _moments(values: NDArray[Any]) -> tuple[float, float]:
    inside = values[np.isfinite(values)].astype(np.float64)
    if not inside.size:
        return math.nan, math.nan
    return float(inside.mean()), float(inside.std(ddof=1)) if inside.size > 1 else 0.0


def _shifted(offset: NDArray[np.int_]) -> Affine:
    shift = np.eye(4)
    shift[:3, 3] = offset
    return shift


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

    kinds = (vtk.vtkStringArray, vtk.vtkStringArray, vtk.vtkIntArray, *[vtk.vtkDoubleArray] * 5)
    headings = _headings(dice)
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    changing = node.StartModify()
    for (heading, unit), kind, values in zip(headings.items(), kinds, _columns(rows, dice), strict=False):
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
        writer.writerow(_headings(dice))
        for row in rows:
            writer.writerow("" if isinstance(cell, float) and math.isnan(cell) else cell for cell in _cells(row, dice))


def _headings(dice: Mapping[str, float] | None) -> dict[str, str]:
    return COLUMNS if dice is None else {**COLUMNS, "Dice": ""}


def _cells(row: SegmentStatistics, dice: Mapping[str, float] | None) -> tuple[Any, ...]:
    score = () if dice is None else (float(dice.get(row.name, math.nan)),)
    return row.name, row.segment_id, row.voxels, row.volume_ml, row.surface_mm2, row.mean, row.std, *score


def _columns(rows: Sequence[SegmentStatistics], dice: Mapping[str, float] | None) -> list[tuple[Any, ...]]:
    return [tuple(cells) for cells in zip(*(_cells(row, dice) for row in rows), strict=True)] or [()] * len(
        _headings(dice)
    )

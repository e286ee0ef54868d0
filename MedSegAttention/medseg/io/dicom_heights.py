"""Where slices lie along the line they were stacked on, and whether groups of them are one stack or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.io.dicom_slice import DicomSlice

SAME_PLACE_MM = 0.01
_SAME_SHARE = 0.02  # of a slice's thickness: no scanner stacks slices so close
_EVEN = 0.1  # of the usual distance
_TOUCHING = 0.8  # of the distance the header says: slices of one acquisition lie no closer
_GAP = 3  # usual distances between groups that are no longer one stack
Group: TypeAlias = list[DicomSlice]
Relation: TypeAlias = Literal["one stack", "apart", "unclear"]


@dataclass(frozen=True, eq=False)
class Heights:
    """Of the slices of a series, in mm along their normal, or by Slice Location or number where no position is given.

    Args:
        of: by the slice's id.
        kind: what they are.
        same_mm: slices that are no farther apart lie at one place.
        step_mm: distance of slices that the header says; None where it says nothing.
    """

    of: dict[int, float]
    kind: Literal["position", "location", "number"]
    same_mm: float
    step_mm: float | None

    def __call__(self, piece: DicomSlice) -> float:
        """Of one slice."""
        return self.of[id(piece)]


def heights_of(pieces: Sequence[DicomSlice]) -> Heights:
    """Find the heights of slices that all have a position, or all have none."""
    steps = sorted(piece.thickness for piece in pieces if piece.thickness is not None)
    step = steps[len(steps) // 2] if steps else None
    same = max(SAME_PLACE_MM, _SAME_SHARE * (step or 0))
    first = pieces[0]
    if first.axes is not None and all(piece.position is not None for piece in pieces):
        normal = np.cross(*first.axes)
        found = {id(piece): float(normal @ piece.position) for piece in pieces if piece.position is not None}
        return Heights(found, "position", same, step)
    locations = [piece.numbers("0020|1041", 1) for piece in pieces]
    if all(locations) and len(pieces) > 1:
        return Heights(
            {id(piece): at[0] for piece, at in zip(pieces, locations, strict=True) if at}, "location", same, step
        )
    return Heights({id(piece): float(piece.instance) for piece in pieces}, "number", 0.5, None)


def places(pieces: Sequence[DicomSlice], heights: Heights) -> list[Group]:
    """Slices that lie at one place together, upwards."""
    ordered = sorted(pieces, key=lambda piece: (heights(piece), piece.order, piece.path.name))
    found: list[Group] = [[ordered[0]]]
    for before, piece in pairwise(ordered):
        if heights(piece) - heights(before) <= heights.same_mm:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def relation(parts: Sequence[Group], heights: Heights, *, is_time: bool = False) -> Relation:
    """Whether groups of slices are parts of one stack, stacks of their own, or neither can be said.

    Groups that lie one after the other, or fill each other's gaps, at the usual distance are one stack. So are passes
    that interleave evenly, unless their slices would then lie closer than the header says.

    Args:
        parts: two or more groups.
        heights: of their slices.
        is_time: whether what tells them apart may differ within one acquisition too.
    """
    merged = sorted((heights(piece), number) for number, part in enumerate(parts) for piece in part)
    extent = merged[-1][0] - merged[0][0]
    if extent <= heights.same_mm:
        return "apart"
    inside = np.concatenate([_distances(part, heights) for part in parts])
    across = np.array([high - low for (low, one), (high, other) in pairwise(merged) if one != other])
    if inside.size == 0:
        return "unclear"  # one slice each
    if heights.kind == "number":
        return "unclear" if is_time or len(parts) > len(merged) // 2 else "apart"
    if across.max() <= _GAP * inside.max():
        if across.min() >= (1 - _EVEN) * inside.min() and across.max() <= (1 + _EVEN) * inside.max():
            return "one stack"
        joined = _join(parts, merged, heights, is_time=is_time)
        if joined is not None:
            return joined
    if _typical_extent(parts, heights) >= extent / 2:
        return "apart"
    spans = sorted((min(map(heights, part)), max(map(heights, part))) for part in parts)
    gaps = [low - high for (_, high), (low, _) in pairwise(spans)]
    if not is_time and min(gaps) > _GAP * inside.max():
        return "apart"
    return "unclear"


def interleave(parts: Sequence[Group], heights: Heights) -> bool:
    """Whether slices of some groups lie between those of others."""
    spans = sorted((min(map(heights, part)), max(map(heights, part))) for part in parts)
    return any(low < high for (_, high), (low, _) in pairwise(spans))


def _join(
    parts: Sequence[Group], merged: list[tuple[float, int]], heights: Heights, *, is_time: bool
) -> Relation | None:
    """What evenly interleaving groups are; None where they do not interleave evenly."""
    distances = np.diff([height for height, _ in merged])
    if distances.min() <= heights.same_mm or not is_even(distances):
        return None
    if heights.step_mm is not None:
        usual = float(np.quantile(distances, 0.5, method="lower"))
        return "one stack" if usual >= _TOUCHING * heights.step_mm else None
    return "one stack" if is_time or len(parts) > len(merged) // 2 else None


def is_even(distances: NDArray[np.float64]) -> bool:
    """Whether distances are the usual one, or several times it where slices are missing."""
    times = distances / float(np.quantile(distances, 0.5, method="lower"))
    return bool((np.abs(times - np.round(times)) <= _EVEN).all() and np.round(times).min() >= 1)


def _distances(part: Group, heights: Heights) -> NDArray[np.float64]:
    found = np.diff(sorted(map(heights, part)))
    return found[found > heights.same_mm]


def _typical_extent(parts: Sequence[Group], heights: Heights) -> float:
    """Extent of the group that the middle one of all slices belongs to, groups sorted by extent."""
    sizes = sorted((max(map(heights, part)) - min(map(heights, part)), len(part)) for part in parts)
    counted = np.cumsum([count for _, count in sizes])
    return sizes[int(np.searchsorted(counted, counted[-1] / 2))][0]

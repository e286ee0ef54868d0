"""Repeats of a stack that no tag names, told apart by the order in which their slices were acquired or numbered."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from medseg.io.dicom_heights import Group, Heights, interleave, is_even, relation
from medseg.io.dicom_keys import KEYS, Key, value_of
from medseg.io.dicom_slice import DicomSlice

_Ordered: TypeAlias = list[tuple[tuple[float, ...], DicomSlice]]  # by a value of each slice
_SWEEPS = 8  # at most; more changes of direction are a shuffled numbering
_NUMBER = "Instance Number"


def by_order(stacks: Sequence[Group], heights: Heights) -> tuple[list[Group], str, bool] | None:
    """Take several slices at each place apart by times, else by numbers.

    Accepted is only what cannot be mixed: repeats one after the other, each of which covers every place; or sweeps in
    one direction as many as there are slices at a place; or slices numbered place by place.

    Args:
        stacks: the slices at each place, upwards.
        heights: of them.

    Returns:
        Groups in their order, what they are told apart by, and whether that is weak evidence; None where nothing does.
    """
    for name, ordered in _orders([piece for place in stacks for piece in place], heights):
        found = _complete(ordered, stacks) or _sweeping(ordered, stacks, heights)
        if found is not None:
            return found, name, name == _NUMBER
        ranked = _place_by_place(ordered, stacks)
        if ranked is not None:
            return ranked, name, True
    return None


def by_sweeps(slices: Group, heights: Heights) -> tuple[list[Group], str] | None:
    """Take slices at places of their own apart into even stacks that were numbered or acquired one after the other."""
    for name, runs in _even_sweeps(slices, heights):
        if relation(runs, heights, is_time=True) == "apart":
            return runs, name
    return None


def interleaved_sweeps(slices: Group, heights: Heights) -> list[Group]:
    """Even stacks between each other's slices, numbered or acquired one after the other; none where there are none."""
    return next((runs for _, runs in _even_sweeps(slices, heights) if interleave(runs, heights)), [])


def _even_sweeps(slices: Group, heights: Heights) -> Iterator[tuple[str, list[Group]]]:
    """Slices in sweeps by each of the orders they have, where these are few and even."""
    for name, ordered in _orders(slices, heights):
        runs = _runs(ordered, heights)
        few = 2 <= len(runs) <= _SWEEPS and min(map(len, runs)) >= 2
        if few and all(is_even(np.diff(sorted(map(heights, run)))) for run in runs):
            yield name, runs


def _orders(slices: Group, heights: Heights) -> list[tuple[str, _Ordered]]:
    """Slices in the order of each time, and of their numbers, where all have one; of the same one upwards."""
    found = []
    for key in (*(key for key in KEYS if key.is_time), None):
        ordered = sorted(
            ((_value(piece, key), piece) for piece in slices), key=lambda pair: (pair[0], heights(pair[1]))
        )
        values = [value for value, _ in ordered]
        if () not in values and len(set(values)) > 1:
            found.append((key.name if key else _NUMBER, ordered))
    return found


def _value(piece: DicomSlice, key: Key | None) -> tuple[float, ...]:
    return value_of(piece, key)[0] if key else tuple(map(float, piece.order))


def _complete(ordered: _Ordered, stacks: Sequence[Group]) -> list[Group] | None:
    """Repeats one after the other, each with every place once."""
    count = len(stacks)
    if len(ordered) != count * len(stacks[0]) or len({len(place) for place in stacks}) > 1:
        return None
    where = {id(piece): number for number, place in enumerate(stacks) for piece in place}
    repeats = [ordered[at : at + count] for at in range(0, len(ordered), count)]
    if not all(before[-1][0] < after[0][0] for before, after in pairwise(repeats)):
        return None
    groups = [[piece for _, piece in repeat] for repeat in repeats]
    return groups if all(len({where[id(piece)] for piece in group}) == count for group in groups) else None


def _sweeping(ordered: _Ordered, stacks: Sequence[Group], heights: Heights) -> list[Group] | None:
    """Sweeps in one direction, as many as slices at the fullest place, that overlap by half; some may lack slices."""
    runs = _runs(ordered, heights)
    where = {id(piece): number for number, place in enumerate(stacks) for piece in place}
    clean = all(len({where[id(piece)] for piece in run}) == len(run) for run in runs)
    fullest = max(map(len, stacks))
    if len(runs) != fullest or not clean:
        return None
    repeated = sum(len(place) - 1 for place in stacks)
    return runs if 2 * repeated >= min(map(len, runs)) > 1 else None  # not one slice too many at a seam


def _place_by_place(ordered: _Ordered, stacks: Sequence[Group]) -> list[Group] | None:
    """All repeats of a place before those of the next, as cine series are numbered."""
    repeats = {len(place) for place in stacks}
    if len(repeats) > 1:
        return None
    count = repeats.pop()
    if len({value for value, _ in ordered}) < len(ordered):
        return None
    blocks = [[piece for _, piece in ordered[at : at + count]] for at in range(0, len(ordered), count)]
    together = {frozenset(map(id, place)) for place in stacks}
    if {frozenset(map(id, block)) for block in blocks} != together:
        return None
    return [[block[number] for block in blocks] for number in range(count)]


def _runs(ordered: _Ordered, heights: Heights) -> list[Group]:
    """Slices in an order, cut where the direction of their steps turns against that of most; none in the same time."""
    steps = [heights(after) - heights(before) for (_, before), (_, after) in pairwise(ordered)]
    upwards = sum(step > 0 for step in steps) >= len(steps) / 2
    runs: list[Group] = [[ordered[0][1]]]
    for step, ((before, _), (value, piece)) in zip(steps, pairwise(ordered), strict=True):
        turns = abs(step) <= heights.same_mm or (step > 0) != upwards
        if turns and before == value:
            return []
        if turns:
            runs.append([piece])
        else:
            runs[-1].append(piece)
    return runs

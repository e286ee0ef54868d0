"""A series taken apart into its acquisitions: time points, echoes, b-values, phases, repeats; never mixed silently."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from medseg.io.dicom_copies import equal_to_another, without_copies
from medseg.io.dicom_heights import Group, Heights, interleave, is_even, places, relation
from medseg.io.dicom_keys import Key, Value, keys_of, shown, value_of
from medseg.io.dicom_order import by_order, by_sweeps, interleaved_sweeps
from medseg.io.dicom_slice import DicomSlice
from medseg.io.stored import refusal

_SPARE_SHARE = 10  # one slice in so many may lie where another does and be left out, with a warning
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Slices that belong together, upwards, no two at one place."""

    slices: list[DicomSlice]
    label: str  # what tells it from the others of the series; "" where it is alone


@dataclass(frozen=True, eq=False)
class _Part:
    slices: Group
    said: tuple[tuple[Key, Value], ...] = ()


def acquisitions(path: Path, pieces: Sequence[DicomSlice], heights: Heights) -> tuple[list[Acquisition], list[str]]:
    """Take a series apart; the acquisitions in the order of what tells them apart, and what the user should know.

    Raises:
        ImageError: if several slices lie at one place and nothing says which belong together.
    """
    whole, sentences = without_copies(path, pieces, heights)
    parts = [_Part(whole)]
    for key in keys_of(pieces):
        split: list[_Part] = []
        for part in parts:
            split += _split(path, part, key, heights, sentences)
        parts = split
    parts.sort(key=lambda part: [value for _, value in part.said])
    found: list[Acquisition] = []
    for part in parts:
        label = ", ".join(f"{key.name} {shown(value)}" for key, value in part.said)
        for number, (group, more) in enumerate(_by_order(path, part, heights, sentences)):
            named = ", ".join(filter(None, [label, more and f"{more} {number + 1}"]))
            found.append(Acquisition(sorted(group, key=heights), named))
    return found, sentences


def choices(found: Sequence[Acquisition]) -> str:
    """The sentence that asks for one of several acquisitions."""
    listed = "; ".join(
        f"{number}: {each.label or 'no label'} ({len(each.slices)} slices)"
        for number, each in enumerate(found[:_SHOWN])
    )
    more = "; ..." if len(found) > _SHOWN else ""
    rule = f"one volume is expected, got {len(found)} (time points, echoes or repeats) in this series: {listed}{more}"
    return f"{rule}; choose one with --frame 0..{len(found) - 1}"


def _split(path: Path, part: _Part, key: Key, heights: Heights, sentences: list[str]) -> list[_Part]:
    """A part by the values of one tag, or as it is where these do not tell stacks apart."""
    groups: defaultdict[Value, Group] = defaultdict(list)
    for piece in part.slices:
        groups[value_of(piece, key)].append(piece)
    if len(groups) == 1:
        return [part]
    found = relation(list(groups.values()), heights, is_time=key.is_time)
    is_said = not key.is_time or (heights.step_mm is None and interleave(list(groups.values()), heights))
    if found == "one stack" and is_said and len(groups) < len(part.slices):
        values = ", ".join(shown(value) for value in sorted(groups)[:_SHOWN]) + (
            ", ..." if len(groups) > _SHOWN else ""
        )
        rule = f"{len(part.slices)} slices that differ in {key.name} ({_tag(key)}: {values}) lie as one stack"
        sentences.append(f"{path}: {rule} and are read as one volume; check that they belong together")
    if found != "apart":
        return [part]
    return [_Part(group, (*part.said, (key, value))) for value, group in groups.items()]


def _by_order(path: Path, part: _Part, heights: Heights, sentences: list[str]) -> list[tuple[Group, str]]:
    """A part by the order of times or numbers, where tags have not told its slices apart; with the order's name."""
    stacks = places(part.slices, heights)
    most = max(map(len, stacks))
    if most == 1:
        return _interleaved(path, part.slices, heights, sentences)
    if heights.kind == "number":
        rule = "slices are ordered by position (0020,0032), Slice Location (0020,1041) or Instance Number (0020,0013)"
        raise refusal(path, f"{rule}, and here the first two are absent and the last repeats; export the series again")
    found = by_order(stacks, heights)
    if found is not None:
        groups, name, is_weak = found
        if is_weak:
            rule = f"several slices lie at one place and are told apart by {name} alone"
            sentences.append(f"{path}: {rule}; check that the acquisitions are not mixed")
        return [(group, f"repeat by {name}") for group in groups]
    copies = {id(piece) for place in stacks for piece in equal_to_another(place)}
    if copies:
        sentences.append(
            f"{path}: {len(copies)} slices have the place and the voxels of another, and one of each is read"
        )
        left = _Part([piece for piece in part.slices if id(piece) not in copies], part.said)
        return _by_order(path, left, heights, sentences)
    spare = [piece for place in stacks for piece in place[1:]]
    if len(spare) * _SPARE_SHARE <= max(len(stacks), _SPARE_SHARE):
        names = ", ".join(piece.name for piece in spare[:5])
        sentences.append(f"{path}: slices that lie where another one does were left out: {names}")
        return [([place[0] for place in stacks], "")]
    rule = f"up to {most} slices lie at one place ({', '.join(piece.name for piece in max(stacks, key=len)[:4])})"
    said = "and no tag, time or number says which ones are one acquisition"
    raise refusal(path, f"{rule}, {said}; export the acquisitions as series of their own")


def _interleaved(path: Path, slices: Group, heights: Heights, sentences: list[str]) -> list[tuple[Group, str]]:
    """One stack, or several that lie between each other's slices and are numbered one after the other."""
    alone = [(slices, "")]
    at = np.array(sorted(map(heights, slices)))
    if heights.kind == "number" or len(at) < 4:
        return alone
    distances = np.diff(at)
    is_dense = heights.step_mm is not None and float(np.median(distances)) < 0.75 * heights.step_mm
    if heights.step_mm is None and is_even(distances) and (sweeps := interleaved_sweeps(slices, heights)):
        rule = f"{len(sweeps)} sweeps of slices interleave to one stack, and their thickness is not given"
        sentences.append(f"{path}: {rule}; check that they are one acquisition")
    if is_even(distances) and not is_dense:
        return alone
    found = by_sweeps(slices, heights)
    if found is None:
        if is_dense and not _runs_along(slices, heights):
            close = f"{float(np.median(distances)):.2f} mm apart, closer than the {heights.step_mm:g} mm of the header"
            rule = f"slices lie {close}, and their numbers do not run along the stack"
            sentences.append(f"{path}: {rule}: check that it is not several acquisitions between each other's slices")
        return alone
    groups, name = found
    rule = f"{len(groups)} acquisitions seem to lie between each other's slices, told apart by {name} alone"
    sentences.append(f"{path}: {rule}; check that they are not mixed")
    return [(group, f"sweep by {name}") for group in groups]


def _runs_along(slices: Group, heights: Heights) -> bool:
    """Whether numbers grow, or fall, from slice to slice."""
    numbers = [piece.order for piece in sorted(slices, key=heights)]
    steps = {after > before for before, after in pairwise(numbers) if after != before}
    return len(set(numbers)) == len(numbers) and len(steps) == 1


def _tag(key: Key) -> str:
    return key.tags[0].replace("|", ",")

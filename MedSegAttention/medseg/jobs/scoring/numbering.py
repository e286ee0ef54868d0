"""One numbering for labelmaps that name their segments: the same anatomy has one number, whatever it has in a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medseg.bundles.label_specs import label_specs
from medseg.io.read import LabelReading
from medseg.spec.errors import JobError
from medseg.spec.labels import LabelSpec
from medseg.spec.same_segment import listing, same_segments


@dataclass
class Numbering:
    """Numbers of segments, by name or code; of files without names the numbers are what they are.

    Attributes:
        segments: known so far.
    """

    segments: list[LabelSpec] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)

    def learn(self, segments: Sequence[LabelSpec], values: Sequence[int]) -> None:
        """Give numbers to segments that are not known yet: their own where these are free.

        Args:
            segments: of a file; none where it names none.
            values: found in it.
        """
        if not segments:
            self._taken |= set(values)
        known = same_segments(segments, self.segments)
        for spec in segments:
            if spec.value not in known:
                used = {each.value for each in self.segments}
                free = spec.value if spec.value not in used else 1 + max(used | self._taken)
                self.segments.append(replace(spec, value=free))

    def table(self, segments: Sequence[LabelSpec]) -> dict[int, int]:
        """Number of each value of a file that names its segments."""
        return same_segments(segments, self.segments)

    def names(self) -> dict[int, str]:
        """Name of each number."""
        return {spec.value: spec.name for spec in self.segments}


def compare(first: tuple[Path, LabelReading], second: tuple[Path, LabelReading], numbering: Numbering) -> list[str]:
    """Say how far the names of two files agree.

    Args:
        first: the prediction.
        second: the reference.
        numbering: that both are brought to.

    Returns:
        Sentences about segments that only one of them has, and about names that only one of them knows.

    Raises:
        JobError: when both name their segments, and no name or code is in both.
    """
    (path, one), (other_path, other) = first, second
    if not one.segments and not other.segments:
        return []
    if not one.segments or not other.segments:
        bare = path if other.segments else other_path
        return [f"{bare} names no segments: its values are taken for {listing(numbering.segments)}"]
    shared = same_segments(one.segments, other.segments)
    if not shared:
        msg = (
            f"segments are matched by name or code, and none of {path} ({listing(one.segments)}) is one of "
            f"{other_path} ({listing(other.segments)}); give them the same names"
        )
        raise JobError(msg)
    sentences = []
    for own, reading, there, seen in (
        (path, one, other_path, set(shared)),
        (other_path, other, path, set(shared.values())),
    ):
        if lone := [spec.name for spec in reading.segments if spec.value not in seen]:
            sentences.append(f"{own} has segments that {there} has not: {', '.join(lone)}")
        unnamed = set(np.unique(reading.image.array).tolist()) - {0, *(spec.value for spec in reading.segments)}
        if unnamed:
            shown = ", ".join(map(str, sorted(unnamed)))
            sentences.append(f"{own} holds values that no segment names, and they count as background: {shown}")
    return sentences


def label_table(stated: Sequence[LabelSpec], known: Sequence[LabelSpec]) -> tuple[dict[int, int] | None, list[str]]:
    """Value of a model for each value of a data set that names its labels, by name or the code that a name stands for.

    Args:
        stated: the data set's labels.
        known: the model's.

    Returns:
        None where values are compared as they are: they are the same, nothing is named, or no name is the model's.
        And sentences on what is not in both.
    """
    coded = label_specs([spec.name for spec in stated], [spec.value for spec in stated]) if stated else ()
    table = same_segments(coded, known)
    if not stated:
        return None, []
    if not table:
        numbers = sorted({spec.value for spec in stated} & {spec.value for spec in known})
        return None, [
            f"the data set names its labels ({listing(stated)}), none of which is one of the model's "
            f"({listing(known)}): they are compared by number ({', '.join(map(str, numbers))})"
        ]
    sentences = []
    if more := [spec.name for spec in stated if spec.value not in table and spec.name.lower() != "ignore"]:
        sentences.append(f"the model has no {', '.join(more)}, which the data set labels: they count as background")
    if lacking := [spec.name for spec in known if spec.value not in table.values()]:
        sentences.append(f"the data set labels no {', '.join(lacking)}, which the model finds: they are not scored")
    return (None if not sentences and all(one == other for one, other in table.items()) else table), sentences

"""Corrections of one segmentation, stroke by stroke, each of which can be taken back bit by bit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.correction.answer import Answer, shipped_answer
from medseg.imaging.correction.distances import Box
from medseg.imaging.correction.inputs import voxel_inputs
from medseg.imaging.correction.question import Grid, Pinned, Question, ask
from medseg.imaging.correction.rule import DEFAULT_RULE, SURE, Rule, raised, share
from medseg.imaging.correction.stroke_box import paint
from medseg.spec.stroke import Stroke


@dataclass(frozen=True, eq=False)
class Change:
    """What one stroke did, and what was there before.

    Attributes:
        stroke: as it was painted.
        value: the label that its voxels got.
        box: the part of the grid that may differ; empty where the stroke met no voxel that may change.
        labels: of the box, before.
        probabilities: of the box, before; None where there are none.
    """

    stroke: Stroke
    value: int
    box: Box
    labels: NDArray[Any]
    probabilities: NDArray[Any] | None


_NO_VOXELS = np.empty((0, 3), np.int64)


class Corrector:
    """A segmentation that follows strokes.

    A stroke gives its label to its own voxels, and to those around it of which the learned answer is sure enough;
    nothing changes beyond its reach, in a locked voxel, or in a voxel of an earlier stroke that this one does not
    cover. Labels and probabilities are changed in place, in a box around the stroke alone.
    """

    def __init__(self, grid: Grid, *, answer: Answer | None = None, rule: Rule = DEFAULT_RULE) -> None:
        """Take over a segmentation.

        Args:
            grid: its arrays, which strokes change.
            answer: the learned answer; None: the one that comes with the package.
            rule: how it becomes a change.
        """
        self.grid = grid
        self._answer, self._rule = answer, rule
        self._changes: list[Change] = []
        self._pinned: list[Pinned] = []
        self._kept: list[Pinned] = []

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """What was painted and not taken back, in this order."""
        return tuple(change.stroke for change in self._changes)

    def keep(self, stroke: Stroke, value: int) -> None:
        """Leave a stroke its voxels that this segmentation follows already: nothing changes now, nor by undoing."""
        voxels = paint(stroke.points, stroke.radius_mm, self.grid.shape, self.grid.affine)
        target = 0 if stroke.remove else value
        self._kept.append(Pinned(voxels[self.grid.labels[tuple(voxels.T)] == target], target))

    def apply(self, stroke: Stroke, value: int) -> Change:
        """Paint a stroke.

        Args:
            stroke: where.
            value: the label of its segment, 0 for the background.

        Returns:
            What changed; nothing where the stroke lies outside the grid.

        Raises:
            ValueError: when the probabilities have no such label.
        """
        target = 0 if stroke.remove else value
        question = self.question(stroke, value)
        change = self._nothing(stroke, target) if question is None else self._change(stroke, question)
        self._changes.append(change)
        self._pinned.append(Pinned(_NO_VOXELS if question is None else question.voxels, target))
        return change

    def question(self, stroke: Stroke, value: int) -> Question | None:
        """What ``apply`` would ask; None where the stroke has no voxel that may change.

        Raises:
            ValueError: when the probabilities have no such label.
        """
        grid = self.grid
        if grid.probabilities is not None and not 0 <= value < len(grid.probabilities):
            msg = f"there are probabilities of the labels 0 to {len(grid.probabilities) - 1}, got a stroke of {value}"
            raise ValueError(msg)
        only = value if stroke.remove else None
        voxels = grid.open_voxels(paint(stroke.points, stroke.radius_mm, grid.shape, grid.affine), only)
        if not len(voxels):
            return None
        return ask(grid, voxels, 0 if stroke.remove else value, stroke.reach_mm, [*self._kept, *self._pinned], only)

    def undo(self) -> Stroke | None:
        """Take the last stroke back: labels, probabilities and the list of strokes are what they were, bit by bit.

        Returns:
            The stroke; None where there is none.
        """
        if not self._changes:
            return None
        last = self._changes.pop()
        self._pinned.pop()
        self.grid.labels[last.box] = last.labels
        if self.grid.probabilities is not None and last.probabilities is not None:
            self.grid.probabilities[(slice(None), *last.box)] = last.probabilities
        return last.stroke

    def _change(self, stroke: Stroke, question: Question) -> Change:
        """Write the answer of a question into the grid."""
        grid, value, box, near = self.grid, question.value, question.place.box, question.near
        labels = grid.labels[box]
        held = None if grid.probabilities is None else grid.probabilities[(slice(None), *box)]
        change = Change(stroke, value, box, labels.copy(), None if held is None else held.copy())
        old = question.around.p_wanted[question.place.inner][near]
        answer = (self._answer or shipped_answer())(voxel_inputs(question.around, near))
        distance, depth = question.place.distance[near], question.around.depth
        new = raised(old, answer, distance, stroke.reach_mm, depth, self._rule)
        new[question.stroke] = np.maximum(new[question.stroke], SURE)
        moved = new > old
        takes = moved & (new > 0.5)
        if held is not None:
            shares = share(held[:, near].astype(np.float32), value, new)
            takes = moved & (shares.argmax(axis=0) == value)
            held[:, near] = np.where(moved, shares, held[:, near])
        labels[near] = np.where(takes | question.stroke, value, labels[near])
        return change

    def _nothing(self, stroke: Stroke, value: int) -> Change:
        empty = (slice(0, 0), slice(0, 0), slice(0, 0))
        held = self.grid.probabilities
        return Change(
            stroke, value, empty, self.grid.labels[empty], None if held is None else held[(slice(None), *empty)]
        )

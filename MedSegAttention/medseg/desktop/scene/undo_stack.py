"""The changes of segmentations that can be taken back: the newest first, each segmentation for itself."""

from medseg.desktop.scene.undo_step import UndoStep
from medseg.desktop.state.order import AnyOrder
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node

LIMIT_BYTES = 2**30  # of voxels that are kept to go back to


def run_name(order: AnyOrder) -> str:
    """What a run is called on the buttons that take it back."""
    volume = order.title or _("the volume")
    return _("{model} on {volume}").format(model=order.model_title, volume=volume)


class UndoStack:
    """Keeps steps in the order in which they were made, as many as memory allows, and one however large.

    Args:
        limit_bytes: what the steps may take together; the oldest go first.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._steps: list[UndoStep] = []

    def push(self, step: UndoStep, name: str) -> None:
        """Add a change that was made; those of its segmentation that were taken back cannot be made again.

        Args:
            step: complete.
            name: what the user is to call it.
        """
        step.name = name
        self._let_go([each for each in self._of(step.node) if each.is_undone])
        for earlier in self._of(step.node)[-1:]:
            step.follow(earlier)
        self._steps.append(step)
        while len(self._steps) > 1 and sum(each.bytes for each in self._steps) > self._limit:
            self._let_go(self._steps[:1])

    def to_undo(self, node: Node) -> UndoStep | None:
        """The change of a segmentation that would be taken back next."""
        return next((each for each in reversed(self._of(node)) if not each.is_undone), None)

    def to_redo(self, node: Node) -> UndoStep | None:
        """The change of a segmentation that would be made again next."""
        return next((each for each in self._of(node) if each.is_undone), None)

    def clear(self) -> None:
        """Forget everything: the scene is being closed."""
        self._let_go(list(self._steps))

    def _of(self, node: Node) -> list[UndoStep]:
        """The steps of one segmentation; those of segmentations that were deleted drop out."""
        self._let_go([each for each in self._steps if not each.is_possible])
        return [each for each in self._steps if each.node is node]

    def _let_go(self, steps: list[UndoStep]) -> None:
        self._steps = [each for each in self._steps if each not in steps]
        for each in steps:
            each.forget()

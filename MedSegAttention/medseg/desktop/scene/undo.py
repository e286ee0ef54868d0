"""Changes of segmentations that can be undone and redone until the segmentation is edited by hand."""

from typing import Any

from medseg.desktop.state.order import AnyOrder
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.snapshots import Snapshot, copy_labelmap, exchange_voxels, stamp
from medseg.spec.errors import JobError


class Moment:
    """A state of a segmentation between two changes; the changes on both sides of it share it."""

    def __init__(self, seen: tuple[Any, ...]) -> None:
        self.seen = seen  # its stamp; another one each time the segmentation comes back to it


class UndoStep:
    """The state before and after a change; made just before it.

    Args:
        node: the segmentation that is about to change.
        attribute: of the node, and tag of its segments; restored with the change and not counted as an edit.
        is_new: whether the change is what fills a new segmentation; then made just after it.
    """

    def __init__(self, node: Node, attribute: str, *, is_new: bool = False) -> None:
        self.node = node
        self.name = ""  # what the change is called
        self.is_undone = False
        self._attribute = attribute
        self._other_text = node.GetAttribute(attribute)  # what it says in the state we are not in
        self._is_new = is_new
        self._before, self._after = Snapshot(None if is_new else node), Snapshot(node)
        self._layers = [(each, copy_labelmap(each), each.GetMTime()) for each in self._before.labelmaps]
        self.before = Moment(() if is_new else stamp(node, but_tag=attribute))
        self.after = Moment(())

    @property
    def is_possible(self) -> bool:
        """Whether its segmentation is still in the scene."""
        return self.node is not None and self.node.GetScene() is not None

    @property
    def bytes(self) -> int:
        """Memory of the voxels that are kept and belong to no segment now."""
        if not self.is_possible:
            return 0
        kept = [*self._before.labelmaps, *self._after.labelmaps, *(copy for _each, copy, _at in self._layers)]
        shown = {id(labelmap) for labelmap in Snapshot(self.node).labelmaps}
        aside = {id(labelmap): labelmap for labelmap in kept if id(labelmap) not in shown}
        return 1024 * sum(int(labelmap.GetActualMemorySize()) for labelmap in aside.values())

    def done(self) -> None:
        """Call when the change is complete; later changes of the segmentation count as edits."""
        self._after = Snapshot(self.node)
        # A labelmap that the change left alone is the same before and after.
        self._layers = [(each, copy, at) for each, copy, at in self._layers if each.GetMTime() != at]
        self.after.seen = stamp(self.node, but_tag=self._attribute)

    def restore(self) -> None:
        """Go back whatever is there: for a change that failed half-way."""
        self._exchange()
        self._before.put_back(self.node)

    def follow(self, earlier: "UndoStep") -> None:
        """Let this change begin where an earlier one ended, if the segmentation was not edited in between."""
        if earlier.after.seen == self.before.seen:
            self.before = earlier.after

    def forget(self) -> None:
        """Give the memory back; the change stays as it is."""
        self.node, self._layers = None, []
        self._before = self._after = None  # type: ignore[assignment]

    def toggle(self) -> str:
        """Take the change back; when it has been taken back, make it again.

        Returns:
            What happened, for the user.

        Raises:
            JobError: if the segmentation is gone, or was worked on since: that work would be lost.
        """
        if not self.is_possible:
            msg = _("the segmentation is no longer in the scene; there is nothing to take back")
            raise JobError(msg)
        expected = self.before if self.is_undone else self.after
        if stamp(self.node, but_tag=self._attribute) != expected.seen:
            msg = _(
                "{node} was changed by hand since {name}, and that work would be lost; "
                "remove segments you do not want in the Segment Editor"
            )
            raise JobError(msg.format(node=self.node.GetName(), name=self.name or _("the last change")))
        if not self.is_undone:
            self._after = Snapshot(self.node)  # with the surfaces that were made meanwhile
        self._exchange()
        (self._after if self.is_undone else self._before).put_back(self.node)
        text, self._other_text = self._other_text, self.node.GetAttribute(self._attribute)
        self.node.SetAttribute(self._attribute, text)  # None takes it away
        self.is_undone = not self.is_undone
        (self.before if self.is_undone else self.after).seen = stamp(self.node, but_tag=self._attribute)
        said = _("{node} is as it was before {name}.") if self.is_undone else _("{node} is as it was after {name}.")
        if self._is_new and self.is_undone:
            said = _("{node} is empty, as it was before {name}; Redo brings the segments back.")
        return said.format(node=self.node.GetName(), name=self.name or _("the last change"))

    def _exchange(self) -> None:
        for labelmap, copy, _at in self._layers:
            exchange_voxels(labelmap, copy)


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

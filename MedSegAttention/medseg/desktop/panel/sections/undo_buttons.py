"""Two buttons that take changes of a segmentation back and make them again; they say which change they are about."""

from collections.abc import Callable
from typing import Any

from medseg.desktop.scene.undo import UndoStack, UndoStep
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.spec.errors import MedSegError


class UndoButtons:
    """Undo and Redo.

    Args:
        undo_button: takes back.
        redo_button: makes again; hidden where there is nothing to make again.
        stack: the changes.
        current: the segmentation that they are about.
        may_turn: whether this is the time for it.
        before: called first.
        on_turn: hears what was taken back or made again, or why it was not.
    """

    def __init__(
        self,
        undo_button: Any,
        redo_button: Any,
        stack: UndoStack,
        current: Callable[[], Node],
        *,
        may_turn: Callable[[], bool],
        before: Callable[[], object],
        on_turn: Callable[[str], None],
    ) -> None:
        self._undo_button, self._redo_button, self._stack, self._current = undo_button, redo_button, stack, current
        self._may_turn, self._before, self._on_turn = may_turn, before, on_turn
        undo_button.connect("clicked()", lambda: self._turn(stack.to_undo(current())))
        redo_button.connect("clicked()", lambda: self._turn(stack.to_redo(current())))

    def refresh(self) -> None:
        """Say which change the buttons are about."""
        node = self._current()
        undo, redo = self._stack.to_undo(node), self._stack.to_redo(node)
        for button, step, tip, none in (
            (self._undo_button, undo, _("Take {name} back out of {node}"), _("No change to take back")),
            (self._redo_button, redo, _("Put {name} into {node} again"), _("No change to make again")),
        ):
            button.setEnabled(step is not None and bool(self._may_turn()))
            button.setToolTip(none if step is None else tip.format(name=step.name, node=node.GetName()))
        self._redo_button.setVisible(redo is not None)

    def _turn(self, step: UndoStep | None) -> None:
        """Take a change back, or make it again."""
        if step is None:
            return
        self._before()
        try:
            text = step.toggle()
        except MedSegError as error:
            text = str(error)
        self._on_turn(text)

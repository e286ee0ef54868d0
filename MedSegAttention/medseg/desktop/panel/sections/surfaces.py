"""The button that shows segments as surfaces in 3D, hides them, and stops while they are being made."""

from collections.abc import Callable
from typing import Any

from medseg.desktop.panel.controls import call
from medseg.desktop.panel.sections.task import Task
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import CLOSED_SURFACE
from medseg.mrml.views import surface_steps

_KIND = "surfaces"
_UNASKED = 20  # segments at most whose surfaces are made after a run; a hundred keep the window busy for a minute


class Surfaces:
    """Makes surfaces, one segment a turn of Qt's loop.

    Args:
        button: shows and hides.
        task: what the view of results has under way.
        current: the segmentation that is looked at.
        say: shows a sentence.
    """

    def __init__(self, button: Any, task: Task, current: Callable[[], Node], say: Callable[[str], None]) -> None:
        self._button, self._task, self._current, self._say = button, task, current, say
        button.connect("clicked()", self.toggle)

    def refresh(self) -> None:
        """Say what the button does now."""
        self._button.setEnabled(self._current() is not None)
        shown = _("Hide &3D") if self._are_shown() else _("Show &3D")
        call(self._button, _("Stop &3D") if self._task.kind == _KIND else shown)

    def toggle(self) -> None:
        """Show the segments as surfaces; hide them where they are shown; stop where they are being made."""
        node = self._current()
        if self._task.kind == _KIND:
            self._task.stop()
        elif node is not None and self._are_shown():
            node.GetDisplayNode().SetVisibility3D(False)
            self._say(_("The surfaces are hidden."))
            self.refresh()
        elif node is not None:
            text = _("The surfaces of {count} segments are in the 3D views.")
            self._make(node, text.format(count=node.GetSegmentation().GetNumberOfSegments()))

    def make_unasked(self) -> None:
        """Show the surfaces of what a run has brought, where that does not take long."""
        node = self._current()
        if node is not None and 0 < node.GetSegmentation().GetNumberOfSegments() <= _UNASKED:
            self._make(node, "")

    def _make(self, node: Node, said: str) -> None:
        had = bool(node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE))

        def clean_up() -> None:
            if not had:  # Slicer takes what the first segment has for what all have
                node.RemoveClosedSurfaceRepresentation()

        def show() -> None:
            node.GetDisplayNode().SetVisibility(True)  # the eye of the whole segmentation may be closed
            self._say(said)

        self._task.begin(
            _KIND,
            lambda: surface_steps(node),
            lambda _id: None,
            show,
            progress=_("Making surfaces: {done} of {total}"),
            total=int(node.GetSegmentation().GetNumberOfSegments()),
            stopped=_("Stopped; no surfaces were made."),
            clean_up=clean_up,
        )

    def _are_shown(self) -> bool:
        node = self._current()
        display = None if node is None else node.GetDisplayNode()
        if display is None or not node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE):
            return False
        return bool(display.GetVisibility() and display.GetVisibility3D())

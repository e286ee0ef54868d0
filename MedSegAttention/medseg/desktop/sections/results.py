"""The result below Apply: its segments, in 3D and in the slices, measured, compared and taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.desktop.parameters import REFERENCE, Parameters
from medseg.desktop.sections.measurements_view import MeasurementsView
from medseg.desktop.sections.measuring import Measuring, ask_csv_path
from medseg.desktop.sections.task import Task
from medseg.desktop.texts import _
from medseg.desktop.ui import load_ui
from medseg.mrml.grids import Node
from medseg.mrml.jumping import jump_to_segment
from medseg.mrml.segmentations import CLOSED_SURFACE
from medseg.mrml.surfaces import surface_steps
from medseg.spec.errors import MedSegError

_SURFACES = "surfaces"


class ResultsView:
    """What a run brought, and what can be done with it; hidden until ``show`` is called.

    Args:
        parameters: of the panel; the segmentation to compare with is one of them.
        on_undo: takes the last change back, or makes it again.
        can_undo: whether there is such a change.
        undo_text: what the button says: undo or redo.
        ask_path: given a name, asks for the file of a table; None: the user does not want one.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        on_undo: Callable[[], None],
        can_undo: Callable[[], bool],
        undo_text: Callable[[], str],
        ask_path: Callable[[str], Path | None] = ask_csv_path,
    ) -> None:
        self.widget, self._ui = load_ui("Results")
        self._parameters = parameters
        self._on_undo, self._can_undo, self._undo_text = on_undo, can_undo, undo_text
        self._watched: list[tuple[Node, int]] = []
        self._task = Task(self._say, self._show_state)
        table = MeasurementsView(self._ui.statisticsTable, self._go_to)
        self._measuring = Measuring(parameters, table, self._task, self._say, ask_path)
        self._say("")
        self.widget.setVisible(False)
        self.set_scene(parameters.scene)
        self._connect()
        self.refresh()

    @property
    def node(self) -> Node:
        """The segmentation that is looked at; None: none."""
        return self._ui.segmentationSelector.currentNode()

    def set_scene(self, scene: Node) -> None:
        """Offer the nodes of a scene."""
        for widget in (self._ui.segmentationSelector, self._ui.segmentsTable, self._ui.referenceSelector):
            widget.setMRMLScene(scene)

    def show(self, segmentation: Node) -> None:
        """Show a result; what was measured before is forgotten."""
        self.widget.setVisible(True)
        if self.node is segmentation:
            self._node_changed()
        else:
            self._ui.segmentationSelector.setCurrentNode(segmentation)

    def clear(self) -> None:
        """Hide, and let go of every node: the scene is being closed."""
        self._ui.segmentationSelector.setCurrentNode(None)
        self._node_changed()
        self.widget.setVisible(False)

    def stop(self) -> None:
        """End what is under way and listen to no node any more: the panel is being closed."""
        self._task.stop()
        self._watch(None)

    def refresh(self) -> None:
        """Show what the parameters hold, and what can be done now."""
        self._ui.referenceSelector.setCurrentNode(self._parameters.node(REFERENCE))
        self._show_state()

    def toggle_3d(self) -> None:
        """Show the segments as surfaces; hide them where they are shown; stop where they are being made."""
        node = self.node
        if self._task.kind == _SURFACES:
            self._task.stop()
        elif node is not None and self._shows_3d():
            node.GetDisplayNode().SetVisibility3D(False)
            self._say(_("The surfaces are hidden."))
            self._show_state()
        elif node is not None:
            self._make_surfaces(node)

    def measure(self) -> None:
        """Measure every segment and, where a reference is chosen, compare; stop where that is under way."""
        if self._measuring.is_running:
            self._task.stop()
        elif self.node is not None:
            self._measuring.measure(self.node)

    def go(self) -> None:
        """Move the slice views to the chosen segment."""
        chosen = tuple(self._ui.segmentsTable.selectedSegmentIDs())
        if chosen:
            self._go_to(chosen[0])
        elif self.node is not None:
            self._say(_("Choose a segment in the table first."))

    def _connect(self) -> None:
        ui = self._ui
        ui.segmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._node_changed())
        # When the chosen node is deleted Slicer chooses the next one: nobody asked to compare with that.
        ui.referenceSelector.connect("nodeActivated(vtkMRMLNode*)", self._choose_reference)
        ui.segmentsTable.tableWidget().connect("activated(QModelIndex)", lambda _index: self.go())  # Enter
        for button, action in (
            (ui.show3dButton, self.toggle_3d),
            (ui.goButton, self.go),
            (ui.measureButton, self.measure),
            (ui.undoButton, self._undo),
            (ui.tableNodeButton, self._measuring.add_table),
            (ui.saveButton, self._measuring.save_csv),
        ):
            button.connect("clicked()", action)

    def _node_changed(self) -> None:
        self._task.stop()
        self._measuring.forget()
        self._say("")
        self._ui.segmentsTable.setSegmentationNode(self.node)
        self._watch(self.node)
        self._show_state()

    def _choose_reference(self, node: Node) -> None:
        self._parameters.set_node(REFERENCE, node)
        if self.node is not None:
            self._measuring.compare(self.node)
        self._show_state()

    def _make_surfaces(self, node: Node) -> None:
        had = bool(node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE))
        count = int(node.GetSegmentation().GetNumberOfSegments())

        def clean_up() -> None:
            if not had:  # Slicer takes what the first segment has for what all have
                node.RemoveClosedSurfaceRepresentation()

        self._task.begin(
            _SURFACES,
            lambda: surface_steps(node),
            lambda _id: None,
            lambda: self._say(_("The surfaces of {count} segments are in the 3D views.").format(count=count)),
            progress=_("Making surfaces: {done} of {total}"),
            total=count,
            stopped=_("Stopped; no surfaces were made."),
            clean_up=clean_up,
        )

    def _undo(self) -> None:
        self._task.stop()
        self._on_undo()
        self._show_state()

    def _go_to(self, segment_id: str) -> None:
        node = self.node
        segment = None if node is None else node.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            return
        try:
            found = jump_to_segment(self._parameters.scene, node, segment_id)
        except MedSegError as error:
            self._say(str(error))
            return
        empty = _("{name} is empty; there is nowhere to go.").format(name=segment.GetName())
        self._say("" if found else empty)

    def _watch(self, node: Node) -> None:
        """Hear when segments are drawn, added, removed or renamed, and when surfaces come and go."""
        for target, tag in self._watched:
            target.RemoveObserver(tag)
        self._watched = []
        if node is None:
            return
        inside = node.GetSegmentation()
        for target, event, heard in (
            (inside, inside.SourceRepresentationModified, self._segments_changed),
            (inside, inside.SegmentAdded, self._segments_changed),
            (inside, inside.SegmentRemoved, self._segments_changed),
            (inside, inside.SegmentModified, lambda *_: self._measuring.names_changed()),
            (inside, inside.ContainedRepresentationNamesModified, lambda *_: self._show_state()),
            (node, node.DisplayModifiedEvent, lambda *_: self._show_state()),
        ):
            self._watched.append((target, target.AddObserver(event, heard)))

    def _segments_changed(self, *_args: object) -> None:
        if self._task.stop() or self._measuring.node is not None:
            self._measuring.forget()
            self._say(_("The segments were changed; what was measured or made of them before is no longer so."))
        self._show_state()

    def _shows_3d(self) -> bool:
        node = self.node
        display = None if node is None else node.GetDisplayNode()
        if display is None or not node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE):
            return False
        return bool(display.GetVisibility() and display.GetVisibility3D())

    def _show_state(self) -> None:
        ui, has_node = self._ui, self.node is not None
        for button in (ui.show3dButton, ui.goButton, ui.measureButton):
            button.setEnabled(has_node)
        surfaces = _("Hide &3D") if self._shows_3d() else _("Show &3D")
        _call(ui.show3dButton, _("St&op") if self._task.kind == _SURFACES else surfaces)
        _call(ui.measureButton, _("St&op") if self._measuring.is_running else _("S&tatistics"))
        _call(ui.undoButton, self._undo_text())
        ui.undoButton.setEnabled(bool(self._can_undo()))
        ui.statistics.setVisible(self._measuring.node is not None)
        for button in (ui.tableNodeButton, ui.saveButton):
            button.setEnabled(self._measuring.has_rows)

    def _say(self, text: str) -> None:
        self._ui.statusLabel.setText(text)
        self._ui.statusLabel.setVisible(bool(text))


def _call(button: Any, text: str) -> None:
    """Give a button another text; screen readers read the accessible name in its place."""
    button.setText(text)
    button.setAccessibleName(text.replace("&", ""))

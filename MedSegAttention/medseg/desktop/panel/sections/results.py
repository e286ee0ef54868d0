"""The result below Apply: its segments, in 3D and in the slices, measured, compared and taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.controls import call, load_ui, show_text
from medseg.desktop.panel.sections.measurements_view import MeasurementsView
from medseg.desktop.panel.sections.measuring import Measuring, ask_csv_path
from medseg.desktop.panel.sections.onward import Onward
from medseg.desktop.panel.sections.surfaces import Surfaces
from medseg.desktop.panel.sections.task import Task
from medseg.desktop.panel.sections.undo_buttons import UndoButtons
from medseg.desktop.scene.looking import centre_on, is_over_another, look_at, look_at_volume, whose
from medseg.desktop.scene.results import newest_result
from medseg.desktop.scene.undo import UndoStack
from medseg.desktop.state.parameters import REFERENCE, Parameters
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node
from medseg.mrml.sequences import sequence_of
from medseg.mrml.views import jump_to_segment
from medseg.spec.errors import MedSegError


class ResultsView:
    """What a run brought, and what can be done with it; hidden until ``show`` is called.

    Args:
        parameters: of the panel; the segmentation to compare with is one of them.
        undo: the changes that can be taken back; the buttons are about those of the segmentation that is looked at.
        may_undo: whether this is the time for it.
        on_undo: hears what was taken back or made again, or why it was not.
        on_node: called when another segmentation is looked at.
        ask_path: given a name, asks for the file of a table; None: the user does not want one.
        make_process: makes the worker that exports to DICOM; None: nothing is exported.
        installer: of what that needs; None: nothing is installed.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        undo: UndoStack,
        may_undo: Callable[[], bool] = lambda: True,
        on_undo: Callable[[str], None] = lambda _text: None,
        on_node: Callable[[], None] = lambda: None,
        ask_path: Callable[[str], Path | None] = ask_csv_path,
        make_process: MakeProcess | None = None,
        installer: DependencyInstaller | None = None,
    ) -> None:
        self.widget, self._ui = load_ui("Results")
        self._parameters = parameters
        self._on_node = on_node
        self._undo = UndoButtons(
            self._ui.undoButton,
            self._ui.redoButton,
            undo,
            lambda: self.node,
            may_turn=may_undo,
            before=lambda: self._task.stop(),
            on_turn=lambda text: self._turned(text, on_undo),
        )
        self._is_showing = False  # also while the whole panel is hidden
        self._seeks_result = False  # whether a result that was saved with the scene is still to be shown
        self._watched: list[tuple[Node, int]] = []
        self._is_unseen = False  # a result came while the user was elsewhere in Slicer
        self._wants_segments = False  # although there are statistics, which lie in the same place
        self._task = Task(self._say, self._show_state)
        self._surfaces = Surfaces(self._ui.show3dButton, self._task, lambda: self.node, self._say)
        table = MeasurementsView(self._ui.statisticsTable, self._go_to)
        self._measuring = Measuring(parameters, table, self._task, self._say, ask_path)
        edit, export = self._ui.editButton, self._ui.dicomButton
        self._onward = Onward(edit, export, lambda: self.node, make_process, installer, self._say)
        self._say("")
        self.widget.setVisible(False)
        self.set_scene(parameters.scene)
        ui = self._ui
        ui.segmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._node_changed())
        # When the chosen node is deleted Slicer chooses the next one: the views do not go there by themselves, and
        # it is not to be compared with.
        ui.segmentationSelector.connect("nodeActivated(vtkMRMLNode*)", lambda _node: self.look())
        ui.referenceSelector.connect("nodeActivated(vtkMRMLNode*)", self._choose_reference)
        ui.segmentsTable.tableWidget().connect("activated(QModelIndex)", lambda _index: self.go())  # Enter
        for button, action in (
            (ui.goButton, self.go),
            (ui.measureButton, self.measure),
            (ui.tableNodeButton, self._measuring.add_table),
            (ui.saveButton, self._measuring.save_csv),
        ):
            button.connect("clicked()", action)
        self._show_state()

    @property
    def labels(self) -> list[Any]:
        """What stands before the fields."""
        return [self._ui.segmentationLabel]

    @property
    def node(self) -> Node:
        """The segmentation that is looked at; None: none."""
        return self._ui.segmentationSelector.currentNode()

    def set_scene(self, scene: Node) -> None:
        """Offer the nodes of a scene."""
        for widget in (self._ui.segmentationSelector, self._ui.segmentsTable, self._ui.referenceSelector):
            widget.setMRMLScene(scene)
        self._seeks_result = scene is not None and not self._is_showing

    def show(self, segmentation: Node) -> None:
        """Show a result; what was measured before is forgotten."""
        self._is_showing, self._seeks_result = True, False
        self.widget.setVisible(True)
        if self.node is segmentation:
            self._node_changed()
        else:
            self._ui.segmentationSelector.setCurrentNode(segmentation)

    def present(self, segmentation: Node) -> None:
        """Show what a run has brought, in all views; while the user is elsewhere in Slicer, when the panel is entered.

        Until then it is hidden where it would lie over the image of another volume.
        """
        is_next = segmentation is self.node and self._is_in_sequence()
        self.show(segmentation)
        if is_next:  # a further time point: the views stay where the user has put them meanwhile
            return
        self._is_unseen = True
        if self.widget.visible:
            self.enter()
        elif is_over_another(self._parameters.scene, segmentation):
            segmentation.GetDisplayNode().SetVisibility(False)

    def enter(self) -> None:
        """Call when the panel comes into sight: look at what came meanwhile."""
        if self._is_unseen and self.node is not None:
            self._is_unseen = False
            self.look()
            if not self._is_in_sequence():  # what is made of one time point would not be so of the next
                self._surfaces.make_unasked()

    def _is_in_sequence(self) -> bool:
        return sequence_of(self._parameters.scene, self.node) is not None

    def follow(self, volume: Node) -> None:
        """Show a volume that was chosen, and its newest result where it has one."""
        try:
            found = look_at_volume(self._parameters.scene, volume, self._parameters.inputs(1))
        except MedSegError as error:
            self._say(str(error))
            return
        if found is not None:
            self.show(found)
            self.look()

    def look(self) -> None:
        """Show the segmentation on its own volume, and centre the views on it; others are hidden."""
        node = self.node
        if node is None:
            return
        try:
            look_at(self._parameters.scene, node)
            centre_on(self._parameters.scene, node)
        except MedSegError as error:
            self._say(str(error))

    def clear(self) -> None:
        """Hide, and let go of every node: the scene is being closed."""
        self._ui.segmentationSelector.setCurrentNode(None)
        self._node_changed()
        self._is_showing = False
        self.widget.setVisible(False)

    def stop(self) -> None:
        """End what is under way and listen to no node any more: the panel is being closed."""
        self._task.stop()
        self._onward.close()
        self._watch(None)

    def refresh(self) -> None:
        """Show what the parameters hold, and what can be done now; after a scene was opened its newest result."""
        saved = newest_result(self._parameters.scene) if self._seeks_result else None
        if saved is not None:
            self.show(saved)
            self._seeks_result = self.node is not saved  # the selector may not know it before all is loaded
        self._ui.referenceSelector.setCurrentNode(self._parameters.node(REFERENCE))
        self._show_state()

    def measure(self) -> None:
        """Measure every segment and, where a reference is chosen, compare; stop where that is under way.

        The numbers lie where the segments were; once they are there it shows the one or the other.
        """
        if self._measuring.is_running:
            self._task.stop()
        elif self._measuring.is_complete:
            self._wants_segments = not self._wants_segments
            self._show_state()
        elif self.node is not None:
            self._wants_segments = False
            self._measuring.measure(self.node)

    def go(self) -> None:
        """Move the slice views to the chosen segment."""
        chosen = tuple(self._ui.segmentsTable.selectedSegmentIDs())
        if chosen:
            self._go_to(chosen[0])
        elif self.node is not None:
            self._say(_("Choose a segment in the table first."))

    def _node_changed(self) -> None:
        self._task.stop()
        self._measuring.forget()
        self._say("")
        self._ui.segmentsTable.setSegmentationNode(self.node)
        self._watch(self.node)
        self._show_state()
        self._on_node()

    def _choose_reference(self, node: Node) -> None:
        self._parameters.set_node(REFERENCE, node)
        if self.node is not None:
            self._measuring.compare(self.node)
        self._show_state()

    def _go_to(self, segment_id: str) -> None:
        node = self.node
        segment = None if node is None else node.GetSegmentation().GetSegment(segment_id)
        if segment is None:
            return
        try:
            look_at(self._parameters.scene, node)
            found = jump_to_segment(self._parameters.scene, node, segment_id)
        except MedSegError as error:
            self._say(str(error))
            return
        empty = _("{name} is empty; there is nowhere to go.").format(name=segment.GetName())
        self._say("" if found else empty)

    def _turned(self, text: str, tell: Callable[[str], None]) -> None:
        tell(text)
        self._show_state()

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

    def _show_state(self) -> None:
        ui, has_node = self._ui, self.node is not None
        self._onward.refresh()
        for button in (ui.goButton, ui.measureButton):
            button.setEnabled(has_node)
        show_text(ui.ownerLabel, whose(self.node, self._parameters.inputs(1)))
        self._surfaces.refresh()
        has_numbers = self._measuring.node is not None and not self._wants_segments
        measure = _("Segmen&ts") if has_numbers and self._measuring.is_complete else _("S&tatistics")
        call(ui.measureButton, _("S&top") if self._measuring.is_running else measure)
        ui.segmentsTable.setVisible(not has_numbers)
        ui.statisticsTable.setVisible(has_numbers)
        self._undo.refresh()
        ui.statistics.setVisible(has_numbers)
        for button in (ui.tableNodeButton, ui.saveButton):
            button.setEnabled(self._measuring.has_rows)

    def _say(self, text: str) -> None:
        show_text(self._ui.statusLabel, text)

"""The section of the panel for probabilities: whether they come back, and a threshold on them that acts at once."""

from collections.abc import Callable

import qt

from medseg.desktop.panel.controls import Binding, Section, Showing, load_ui, selected, set_choices, show_text
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.probabilities import linked_entropy, linked_probabilities, noted_threshold
from medseg.mrml.segmentations import segment_names
from medseg.mrml.thresholds import ThresholdEdit
from medseg.mrml.views import Foreground
from medseg.spec.errors import MedSegError

_UNTOUCHED = 0.5  # where the slider stands before it is moved
_SETTLED_MS = 400  # after this long without a move surfaces are made anew


class ProbabilitiesSection(Section):
    """Two check boxes before a run; a threshold for each segment after one.

    Args:
        parameters: of the panel.
        current_segmentation: the one that is looked at; None: there is none. Asked at every ``refresh``.
    """

    def __init__(self, parameters: Parameters, current_segmentation: Callable[[], Node]) -> None:
        self.title = _("Probabilities")
        self.widget, self._ui = load_ui("Probabilities")
        self._parameters, self._current_segmentation = parameters, current_segmentation
        self._binding = Binding(parameters)
        self._binding.tick(self._ui.probabilitiesBox, "probabilities")
        self._binding.tick(self._ui.entropyBox, "entropy")
        self._node: Node = None  # the segmentation
        self._volumes: dict[str, Node] = {}  # probabilities by segment id
        self._entropy: Node = None
        self._edits: dict[tuple[str, str], ThresholdEdit] = {}  # by ids of segmentation and segment; outlive results
        self._thresholds: dict[tuple[str, str], float] = {}  # where the slider was left
        self._moved_id: str | None = None  # segment whose slider was moved last
        self._refused: set[tuple[str, str]] = set()  # edited by hand: not changed until they are chosen again
        self._agreed: set[tuple[str, str]] = set()  # chosen again: a threshold may begin from what is there
        self._showing = Showing()
        self._foreground = Foreground()
        self._soon, self._settled = _timer(0, self._apply), _timer(_SETTLED_MS, self._finish)
        ui = self._ui
        ui.segmentBox.connect("currentIndexChanged(int)", lambda _index: self._segment_changed())
        ui.segmentBox.connect("activated(int)", lambda _index: self._chosen_again())
        ui.thresholdSlider.connect("valueChanged(double)", lambda _value: self._moved())
        ui.restoreButton.connect("clicked()", self.restore)
        ui.entropyButton.connect("toggled(bool)", self._show_entropy)
        self._say("")
        self.refresh()

    def refresh(self) -> None:
        """Show what the parameters hold, and offer the volumes that belong to the segmentation."""
        self._binding.refresh()
        node = self._current_segmentation()
        scene = self._parameters.scene
        if node is None or node.GetScene() is not scene:
            node = None
        volumes = {} if node is None else linked_probabilities(scene, node)
        entropy = None if node is None else linked_entropy(scene, node)
        if node is not self._node:
            if self._settled.active:
                self._finish()
            self._stop_timers()
            self._show_entropy(shown=False)
            self._moved_id, self._agreed = None, set()  # thresholds can still be taken back when it returns
            self._say("")
        if (node, volumes, entropy) != (self._node, self._volumes, self._entropy):
            self._take(node, volumes, entropy)
        self._show_state()

    def differences(self) -> list[str]:
        """Names of the check boxes that are ticked."""
        return self._binding.differences()

    def restore(self) -> None:
        """Give the segment the voxels that it had before its first threshold."""
        self._stop_timers()
        key = self._key()
        edit = self._edits.get(key)
        if edit is None:
            return
        try:
            edit.restore()
        except MedSegError as error:
            self._refused.add(key)
            self._say(str(error))
        else:
            self._forget(key)
            self._say(_("{name} is as it was before the threshold.").format(name=self._ui.segmentBox.currentText))
        self._show_threshold()

    def _take(self, node: Node, volumes: dict[str, Node], entropy: Node) -> None:
        """Offer the segments that have probabilities; the one that is chosen stays so."""
        for key in [key for key, edit in self._edits.items() if not edit.is_possible]:
            self._forget(key)
        chosen = selected(self._ui.segmentBox) if node is self._node else None
        self._node, self._volumes, self._entropy = node, volumes, entropy
        for segment_id, probability in volumes.items():
            edit = self._edits.get(self._key(segment_id))
            if edit is not None and edit.probability_node is not probability:  # another run drew the segment anew
                self._forget(self._key(segment_id))
                name = self._node.GetSegmentation().GetSegment(segment_id).GetName()
                text = _("{name} was drawn anew by another run; its earlier threshold cannot be taken back any more.")
                self._say(text.format(name=name))
        names = {} if node is None else segment_names(node)
        choices = [(name, segment_id) for segment_id, name in names.items() if segment_id in volumes]
        ids = [segment_id for _name, segment_id in choices]
        with self._showing:
            set_choices(self._ui.segmentBox, choices)
            if chosen in ids:
                self._ui.segmentBox.setCurrentIndex(ids.index(chosen))
        self._show_threshold()

    def _key(self, segment_id: str | None = None) -> tuple[str, str]:
        """Ids of the segmentation and of a segment; None: the chosen one."""
        node_id = "" if self._node is None else str(self._node.GetID())
        return node_id, (selected(self._ui.segmentBox) or "") if segment_id is None else segment_id

    def _forget(self, key: tuple[str, str]) -> None:
        self._refused.discard(key)
        self._edits.pop(key, None)
        self._thresholds.pop(key, None)

    def _moved(self) -> None:
        """The slider was moved: whatever was asked for before is forgotten, only the last value is applied."""
        if self._showing:
            return
        self._moved_id = selected(self._ui.segmentBox)
        self._thresholds[self._key()] = float(self._ui.thresholdSlider.value)
        self._soon.start()
        self._settled.start()

    def _segment_changed(self) -> None:
        if self._showing:
            return
        if self._settled.active:  # what was moved a moment ago gets its surface now
            self._stop_timers()
            self._finish()
        self._say("")
        self._show_threshold()

    def _chosen_again(self) -> None:
        """The user chose a segment, maybe the same: a threshold may now begin from what is there."""
        key = self._key()
        if key in self._refused:
            self._forget(key)
            self._agreed.add(key)
            self._say("")
            self._show_threshold()

    def _finish(self) -> None:
        self._apply(is_final=True)

    def _apply(self, *, is_final: bool = False) -> None:
        """Threshold the segment; at the end its surface is made anew, too."""
        segment_id, node = self._moved_id, self._node
        key = self._key(segment_id)
        if node is None or segment_id is None or key not in self._thresholds:
            return
        value = self._thresholds[key]
        try:
            if key not in self._edits:
                agreed = key in self._agreed
                edit = ThresholdEdit(node, segment_id, self._volumes[segment_id], is_agreed=agreed)
                edit.apply(value, is_final=is_final)
                self._edits[key] = edit
            else:
                self._edits[key].apply(value, is_final=is_final)
        except MedSegError as error:
            self._refused.add(key)
            self._settled.stop()
            self._say(str(error))
        else:
            name = node.GetSegmentation().GetSegment(segment_id).GetName()
            self._say(_("{name}: voxels of probability {value:.2f} and more").format(name=name, value=value))
        self._show_state()

    def _stop_timers(self) -> None:
        self._soon.stop()
        self._settled.stop()

    def _show_entropy(self, shown: bool) -> None:
        """Lay the entropy map over the scan in every slice view, or take it off again."""
        if shown and self._entropy is not None and self._entropy.GetScene() is not None:
            self._foreground.show(self._parameters.scene, self._entropy, _("Uncertainty"))
        else:
            self._foreground.take_off()
        if bool(self._ui.entropyButton.checked) != shown:
            self._ui.entropyButton.setChecked(shown)
        self._show_state()

    def _show_threshold(self) -> None:
        """Put the slider where it was left for this segment, also before the scene was saved."""
        volume = self._volumes.get(self._key()[1])
        noted = None if volume is None else noted_threshold(volume)
        with self._showing:
            self._ui.thresholdSlider.setValue(self._thresholds.get(self._key(), _UNTOUCHED if noted is None else noted))
        self._show_state()

    def _show_state(self) -> None:
        ui, has_probabilities, has_entropy = self._ui, bool(self._volumes), self._entropy is not None
        ui.after.setVisible(has_probabilities or has_entropy)
        for widget in (ui.segmentLabel, ui.segmentBox, ui.thresholdLabel, ui.thresholdSlider, ui.restoreButton):
            widget.setVisible(has_probabilities)
        ui.entropyButton.setVisible(has_entropy)
        entropy = _("Hide entropy &map") if ui.entropyButton.checked else _("Show entropy &map")
        ui.entropyButton.setText(entropy)
        ui.entropyButton.setAccessibleName(entropy.replace("&", ""))
        ui.restoreButton.setEnabled(self._key() in self._edits)

    def _say(self, text: str) -> None:
        show_text(self._ui.statusLabel, text)


def _timer(milliseconds: int, action: Callable[[], None]) -> qt.QTimer:
    """Acts once, that long after it was last started."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    return timer

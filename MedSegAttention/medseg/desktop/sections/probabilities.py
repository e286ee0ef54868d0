"""The section of the panel for probabilities: whether they come back, and a threshold on them that acts at once."""

from collections.abc import Callable, Mapping

import qt

from medseg.desktop.binding import Binding, selected, set_choices
from medseg.desktop.landing import Landing
from medseg.desktop.parameters import Parameters
from medseg.desktop.sections.foreground import Foreground
from medseg.desktop.texts import _
from medseg.desktop.ui import load_ui
from medseg.mrml.grids import Node
from medseg.mrml.probabilities import linked_probabilities
from medseg.mrml.thresholds import ThresholdEdit
from medseg.spec.errors import MedSegError

_UNTOUCHED = 0.5  # where the slider stands before it is moved
_SETTLED_MS = 400  # after this long without a move surfaces are made anew


class ProbabilitiesSection:
    """Two check boxes before a run; a threshold for each segment after one.

    Args:
        parameters: of the panel.
        current_result: what the last run brought; None: there is none. Asked at every ``refresh``.
    """

    def __init__(self, parameters: Parameters, current_result: Callable[[], Landing | None]) -> None:
        self.title = _("Probabilities")
        self.widget, self._ui = load_ui("Probabilities")
        self._parameters, self._current_result = parameters, current_result
        self._binding = Binding(parameters)
        self._binding.tick(self._ui.probabilitiesBox, "probabilities")
        self._binding.tick(self._ui.entropyBox, "entropy")
        self._result: Landing | None = None
        self._maps: dict[str, Node] = {}  # probabilities by segment id
        self._entropy: Node = None
        self._edits: dict[str, ThresholdEdit] = {}  # by segment id
        self._thresholds: dict[str, float] = {}  # where the slider was left
        self._moved_id: str | None = None  # segment whose slider was moved last
        self._refused: set[str] = set()  # segments with somebody's work, until they are chosen again
        self._is_showing = False
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
        """Show what the parameters hold, and offer what the last result brought."""
        self._binding.refresh()
        result = self._current_result()
        if result is not self._result:
            self._take(result)
        self._show_state()

    def differences(self) -> list[str]:
        """Names of the check boxes that are ticked."""
        return self._binding.differences()

    def restore(self) -> None:
        """Give the segment the voxels that the network decided on."""
        self._stop_timers()
        segment_id = selected(self._ui.segmentBox)
        edit = self._edits.get(segment_id)
        if edit is None:
            return
        try:
            edit.restore()
        except MedSegError as error:
            self._refused.add(segment_id)
            self._say(str(error))
        else:
            del self._edits[segment_id], self._thresholds[segment_id]
            self._say(_("{name} is as the network decided.").format(name=self._ui.segmentBox.currentText))
        self._show_threshold()

    def _take(self, result: Landing | None) -> None:
        """Begin anew with another result."""
        self._stop_timers()
        self._show_entropy(shown=False)
        self._result = result
        node = None if result is None else result.node
        self._maps = {} if node is None else linked_probabilities(self._parameters.scene, node)
        brought = () if result is None else result.maps
        self._entropy = next((each for each in brought if each not in self._maps.values()), None)
        self._edits, self._thresholds, self._moved_id, self._refused = {}, {}, None, set()
        self._say("")
        was_showing, self._is_showing = self._is_showing, True
        set_choices(self._ui.segmentBox, [] if node is None else _choices(node, self._maps))
        self._is_showing = was_showing
        self._show_threshold()

    def _moved(self) -> None:
        """The slider was moved: whatever was asked for before is forgotten, only the last value is applied."""
        if self._is_showing:
            return
        self._moved_id = selected(self._ui.segmentBox)
        self._thresholds[self._moved_id] = float(self._ui.thresholdSlider.value)
        self._soon.start()
        self._settled.start()

    def _segment_changed(self) -> None:
        if self._is_showing:
            return
        if self._settled.active:  # what was moved a moment ago gets its surface now
            self._stop_timers()
            self._finish()
        self._say("")
        self._show_threshold()

    def _chosen_again(self) -> None:
        """The user chose a segment, maybe the same: a threshold may now begin from what is there."""
        segment_id = selected(self._ui.segmentBox)
        if segment_id in self._refused:
            self._refused.discard(segment_id)
            self._edits.pop(segment_id, None)
            self._thresholds.pop(segment_id, None)
            self._say("")
            self._show_threshold()

    def _apply(self) -> None:
        self._threshold(is_final=False)

    def _finish(self) -> None:
        self._threshold(is_final=True)

    def _threshold(self, *, is_final: bool) -> None:
        segment_id, node = self._moved_id, None if self._result is None else self._result.node
        if node is None or segment_id is None or segment_id not in self._thresholds:
            return
        value = self._thresholds[segment_id]
        try:
            if segment_id not in self._edits:
                self._edits[segment_id] = ThresholdEdit(node, segment_id, self._maps[segment_id])
            self._edits[segment_id].apply(value, is_final=is_final)
        except MedSegError as error:
            self._refused.add(segment_id)
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
            self._foreground.show(self._parameters.scene, self._entropy)
        else:
            self._foreground.take_off()
        if bool(self._ui.entropyButton.checked) != shown:
            self._ui.entropyButton.setChecked(shown)
        self._show_state()

    def _show_threshold(self) -> None:
        """Put the slider where it was left for this segment."""
        was_showing, self._is_showing = self._is_showing, True
        self._ui.thresholdSlider.setValue(self._thresholds.get(selected(self._ui.segmentBox), _UNTOUCHED))
        self._is_showing = was_showing
        self._show_state()

    def _show_state(self) -> None:
        ui, has_probabilities, has_entropy = self._ui, bool(self._maps), self._entropy is not None
        ui.after.setVisible(has_probabilities or has_entropy)
        for widget in (ui.segmentLabel, ui.segmentBox, ui.thresholdLabel, ui.thresholdSlider, ui.restoreButton):
            widget.setVisible(has_probabilities)
        ui.entropyButton.setVisible(has_entropy)
        entropy = _("Hide entropy &map") if ui.entropyButton.checked else _("Show entropy &map")
        ui.entropyButton.setText(entropy)
        ui.entropyButton.setAccessibleName(entropy.replace("&", ""))
        ui.restoreButton.setEnabled(selected(ui.segmentBox) in self._edits)

    def _say(self, text: str) -> None:
        self._ui.statusLabel.setText(text)
        self._ui.statusLabel.setVisible(bool(text))


def _choices(node: Node, maps: Mapping[str, Node]) -> list[tuple[str, str]]:
    """(name, id) of the segments that have probabilities."""
    inside = node.GetSegmentation()
    found = [(each, inside.GetSegment(each)) for each in inside.GetSegmentIDs() if each in maps]
    return [(segment.GetName() or segment_id, segment_id) for segment_id, segment in found]


def _timer(milliseconds: int, action: Callable[[], None]) -> qt.QTimer:
    """Acts once, that long after it was last started."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    return timer

"""The lines below Apply: what a run will take or why there can be none, how far it is, and what became of it."""

from collections.abc import Sequence
from typing import Any

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.forecast_line import forecast_line
from medseg.desktop.queue.job_row import Row
from medseg.desktop.queue.orders import what_is_missing
from medseg.desktop.state.order import TrainingOrder
from medseg.desktop.state.parameters import ROI, Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.inference.network_memory import has_openvino
from medseg.spec.events import Device


class StatusView:
    """Apply, Cancel, progress and the two lines of text.

    Args:
        names: the parts of the panel by their names.
        parameters: hold what is chosen.
        preferences: know how long a window took.
    """

    def __init__(self, names: Any, parameters: Parameters, preferences: Preferences) -> None:
        self._names, self._parameters, self._preferences = names, parameters, preferences
        self._note = ""

    def say(self, text: str) -> None:
        """Show a text in the status line, above the note; where both are empty the line is hidden."""
        whole = "\n".join(filter(None, [text, self._note]))
        self._names.status.setText(whole)
        self._names.status.setVisible(bool(whole))

    def note(self, text: str) -> None:
        """Say something beside all that is said from now on; an empty text ends it."""
        self._note = text

    def forecast(self, bundle: Bundle | None, devices: Sequence[Device]) -> None:
        """Say what a run would take, or in one sentence why Apply cannot be pressed.

        Args:
            bundle: the model that is chosen.
            devices: the last that a worker told of.
        """
        text, settings = what_is_missing(self._parameters, bundle), self._parameters.settings
        if bundle is not None and not text:
            text = forecast_line(
                self._parameters.inputs(1)[0],
                bundle,
                settings,
                self._parameters.node(ROI),
                seconds_per_window=self._preferences.window_seconds(bundle.manifest.model_id, settings.device),
                has_cuda=any(device.name.startswith("cuda") for device in devices),
                openvino=self._preferences.python is None and has_openvino(),  # of another Python nobody knows
            )
        self._names.forecast.setText(text)

    def show(self, bundle: Bundle | None, running: Row | None) -> None:
        """Enable what can be done now, and show how far the row is that runs."""
        names = self._names
        can_apply = not what_is_missing(self._parameters, bundle)
        names.apply.setEnabled(can_apply)
        names.cancel.setEnabled(running is not None and not running.is_stopping)
        names.progress.setVisible(running is not None)
        names.forecast.setVisible(bool(names.forecast.text) and (running is None or not can_apply))
        names.progress.setValue(0 if running is None else running.percent)

    def remember(self, row: Row) -> None:
        """Remember, for the next forecast, how long a window of an ended row took."""
        finished, order = row.finished, row.order
        if isinstance(order, TrainingOrder) or finished is None:
            return
        if finished.windows_seconds is not None and finished.window_count:
            self._preferences.remember_window(
                order.bundle.manifest.model_id,
                order.settings.device,
                finished.windows_seconds / finished.window_count,
            )

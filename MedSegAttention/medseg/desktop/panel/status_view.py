"""The lines below Apply: what a run will take or why there can be none, how far it is, and what became of it."""

from collections.abc import Sequence
from typing import Any

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.controls import show_text
from medseg.desktop.queue.job_row import Row
from medseg.desktop.queue.orders import what_is_missing
from medseg.desktop.queue.suitability import Suitability
from medseg.desktop.state.durations import in_words
from medseg.desktop.state.order import Order
from medseg.desktop.state.parameters import ROI, Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.inference.main_memory import main_memory_mb
from medseg.inference.network_memory import has_openvino
from medseg.inference.stages_forecast import forecast_plans, plan_stages_unseen
from medseg.mrml.grids import ijk_to_world
from medseg.mrml.rois import roi_voxels
from medseg.spec.errors import MedSegError
from medseg.spec.events import Device

_START_SECONDS = 5.0  # until a new process has torch in memory: 3 s on a laptop, 10 s from a slow disk
_MUCH = 0.8  # of the memory that is free


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
        self._suitability = Suitability()

    def say(self, text: str) -> None:
        """Show a text in the status line, above the note; where both are empty the line is hidden."""
        show_text(self._names.status, "\n".join(filter(None, [text, self._note])))

    def repaint(self) -> None:
        """Show the status line now, before Qt's loop next turns."""
        self._names.status.repaint()

    def note(self, text: str) -> None:
        """Say something beside all that is said from now on; an empty text ends it."""
        self._note = text

    def forecast(self, bundle: Bundle | None, devices: Sequence[Device], *, is_warm: bool = False) -> None:
        """Say what a run would take, or in one sentence why Apply cannot be pressed; and what the model is not for.

        Args:
            bundle: the model that is chosen.
            devices: the last that a worker named.
            is_warm: whether a worker waits for work.
        """
        text, remark = what_is_missing(self._parameters, bundle), ""
        if bundle is not None and not text:
            has_cuda = any(device.name.startswith("cuda") for device in devices)
            text = self._forecast(bundle, has_cuda=has_cuda, is_warm=is_warm)
            volume = self._parameters.inputs(1)[0]
            remark = "\n".join(map(_sentence, self._suitability.remarks(self._parameters.scene, volume, bundle)))
        self._names.forecast.setText(text)
        show_text(self._names.remark, remark)

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
        if not isinstance(order, Order) or finished is None:
            return
        if finished.windows_seconds is not None and finished.window_count:
            self._preferences.remember_window(
                order.bundle.manifest.model_id,
                order.settings.device,
                finished.windows_seconds / finished.window_count,
            )

    def _forecast(self, bundle: Bundle, *, has_cuda: bool, is_warm: bool) -> str:
        """The time in words, and memory where it is a problem; empty where nothing can be said."""
        settings, roi = self._parameters.settings, self._parameters.node(ROI)
        volume = self._parameters.inputs(1)[0]
        pixels = volume.GetImageData()
        if pixels is None or pixels.GetNumberOfPoints() == 0:
            return ""
        try:
            auto = "cuda" if has_cuda else "cpu"
            plans = plan_stages_unseen(
                pixels.GetDimensions(),
                ijk_to_world(volume),
                bundle,
                settings.options(roi_voxels=None if roi is None else roi_voxels(roi, volume)),
                device=auto if settings.device == "auto" else settings.device,
            )
            expected = forecast_plans(
                plans,
                bundle,
                seconds_per_window=self._preferences.window_seconds(bundle.manifest.model_id, settings.device),
                voxel_bytes=pixels.GetScalarSize(),
                probabilities=settings.probabilities or settings.entropy,
                openvino=self._preferences.python is None and has_openvino(),  # unknown for another Python
            )
        except MedSegError as error:  # the ROI misses the volume, a transform bends it
            return str(error)
        if expected.seconds is None:
            time = _("How long it takes is known after the first run.")
        else:
            seconds = expected.seconds + (0.0 if is_warm else _START_SECONDS)
            time = _("Takes {time}.").format(time=in_words(seconds))
        return " ".join(filter(None, [time, _memory(expected.memory_mb)]))


def _memory(wanted_mb: int) -> str:
    """A sentence about memory where there is too little of it, or nearly; else nothing."""
    free, total = main_memory_mb()
    most = free if free is not None else total
    if most is None or wanted_mb < _MUCH * most:
        return ""
    text = _("It needs {size} of memory, and {free} are free: close what you do not need, or choose a region.")
    return text.format(size=_size(wanted_mb), free=_size(most))


def _sentence(remark: str) -> str:
    return remark[:1].upper() + remark[1:] + ("" if remark.endswith((".", "!", "?")) else ".")


def _size(mebibytes: float) -> str:
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"

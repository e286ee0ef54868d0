"""What a run will take, in one line under Apply, before it is started."""

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.model_filter import weights_mb
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.state.texts import _
from medseg.inference.forecast import Forecast, forecast
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.rois import roi_voxels
from medseg.spec.errors import MedSegError


def forecast_line(
    volume: Node,
    bundle: Bundle,
    settings: PanelSettings,
    roi: Node,
    *,
    seconds_per_window: float | None = None,
    has_cuda: bool = False,
    openvino: bool = False,
) -> str:
    """Say how long a run will take and how much memory; empty where nothing can be said.

    Args:
        volume: the first channel.
        bundle: the model.
        settings: how it will be run.
        roi: a ROI node; None: the whole volume.
        seconds_per_window: as measured on this computer; None: never measured.
        has_cuda: whether the best device is known to be a graphics card.
        openvino: whether OpenVINO is installed where it will run.
    """
    pixels = volume.GetImageData()
    if pixels is None or pixels.GetNumberOfPoints() == 0:
        return ""
    try:
        options = settings.options(roi_voxels=None if roi is None else roi_voxels(roi, volume))
        expected = forecast(
            pixels.GetDimensions(),
            ijk_to_world(volume),
            bundle.manifest,
            options,
            seconds_per_window=seconds_per_window,
            auto_device="cuda" if has_cuda else "cpu",
            weights_mb=weights_mb(bundle) or 0.0,
            voxel_bytes=pixels.GetScalarSize(),
            probabilities=settings.probabilities or settings.entropy,
            openvino=openvino,
        )
    except MedSegError as error:  # the ROI misses the volume, a transform bends it
        return str(error)
    return describe_forecast(expected)


def describe_forecast(expected: Forecast) -> str:
    """One line: time, memory, windows."""
    time = _("time not known before the first run") if expected.seconds is None else _duration(expected.seconds)
    memory = _("{size} of memory").format(size=_size(expected.memory_mb))
    if expected.device_memory_mb is not None:
        memory += _(" and {size} on the graphics card").format(size=_size(expected.device_memory_mb))
    return _("Forecast: {time}, {memory}").format(time=time, memory=memory)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return _("about {count} s").format(count=max(1, round(seconds)))
    return _("about {count} min").format(count=round(seconds / 60))


def _size(mebibytes: float) -> str:
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"

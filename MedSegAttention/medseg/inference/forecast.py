"""What a run will take before it is started: windows, memory, seconds. Arithmetic only; no torch."""

from dataclasses import dataclass
from math import prod

from medseg.imaging.overlap import answer_dtype
from medseg.inference.network_memory import choose_runner, network_bytes
from medseg.inference.run_plan import RunPlan
from medseg.spec.manifest import ModelManifest

WORKER_MB = 320  # resident memory of a worker that has loaded everything but a network: measured, torch 2.13 on a CPU
CUDA_WORKER_MB = 1500  # the same with CUDA's libraries and context: an estimate
CUDA_CONTEXT_MB = 500  # what CUDA takes of a card before the first tensor: an estimate

_FLOAT = 4  # bytes
_MB = 2**20


@dataclass(frozen=True)
class Forecast:
    """What a run is expected to take."""

    windows: int
    passes: int  # forward passes a window: 2 to the number of mirrored axes
    memory_mb: int  # of the worker's process at its peak, MiB
    device_memory_mb: int | None  # of the graphics card, MiB; None where there is none
    seconds: float | None  # in the network; None while no window was ever timed on such a device


@dataclass(frozen=True)
class _Sizes:
    """Voxels of one channel or label along the way."""

    source: int
    cropped: int
    prepared: int
    padded: int  # to the window
    is_resampled: bool
    held: int  # sums that are not finished

    @property
    def copied(self) -> int:
        """Voxels of the copy that the windows are cut from, if it is one."""
        return self.padded if self.padded != self.prepared else 0


def forecast(
    plan: RunPlan,
    *,
    seconds_per_window: float | None = None,
    weights_mb: float = 0.0,
    voxel_bytes: int = 2,
    probabilities: bool = False,
    openvino: bool = False,
) -> Forecast:
    """Say what a run will take.

    Air that is not run depends on the voxels; all windows are counted, so that the forecast is never too small.

    Args:
        plan: how the case will be run.
        seconds_per_window: of one forward pass of one window, measured earlier; None: what the manifest says of such
            a device.
        weights_mb: size of the model's weights.
        voxel_bytes: of a voxel of the input.
        probabilities: whether they are wanted too.
        openvino: whether OpenVINO is installed where it will run.
    """
    manifest, device, windows = plan.manifest, plan.device_kind, plan.window_count
    grids = plan.grids
    source = prod(plan.source_shape or grids.reorient.source_shape)
    sizes = _Sizes(
        source=source,
        cropped=source if plan.boxes else prod(grids.crop.shape),  # a template is registered to all of it
        prepared=prod(grids.resample.shape),
        padded=prod(plan.windows.shape),
        is_resampled=bool(plan.boxes) or not grids.resample.is_identity,
        held=prod(plan.windows.shape) if probabilities or plan.boxes else plan.windows.voxels_held,
    )
    runner = choose_runner(plan, openvino=openvino)
    batch = min(plan.window_batch, windows)
    network = network_bytes(manifest, runner, device=device, batch=batch, weights=weights_mb * _MB)
    # the sums that are not finished, their weights, and the answers that are added to them
    answers = (2 * batch if plan.passes > 1 else batch) * prod(manifest.window_shape)
    stitched = network + _FLOAT * ((manifest.network_outputs + 1) * sizes.held + manifest.network_outputs * answers)
    on_card, rule = device != "cpu", plan.postprocess
    host = _host_bytes(
        sizes,
        manifest,
        weights_mb * _MB if on_card else network,
        loading=2 * weights_mb * _MB,  # the file is mapped while the network is filled from it
        stitched=0.0 if on_card else stitched,
        voxel_bytes=voxel_bytes,
        tidies=rule.keep_largest or rule.min_island_mm3 > 0 or rule.fill_holes_mm3 > 0,
        probabilities=probabilities,
    )
    timed = (timing.seconds_per_window for timing in manifest.timings if timing.device_kind == device)
    pace = seconds_per_window if seconds_per_window is not None else next(filter(None, timed), None)
    card = stitched + _FLOAT * sizes.padded * len(manifest.channels)
    return Forecast(
        windows=windows,
        passes=plan.passes,
        memory_mb=(CUDA_WORKER_MB if device == "cuda" else WORKER_MB) + round(host / _MB),
        device_memory_mb=CUDA_CONTEXT_MB + round(card / _MB) if on_card else None,
        seconds=None if pace is None else plan.forward_passes * pace,
    )


def _host_bytes(
    sizes: _Sizes,
    manifest: ModelManifest,
    network: float,
    *,
    loading: float,
    stitched: float,
    voxel_bytes: int,
    tidies: bool,
    probabilities: bool,
) -> float:
    """Bytes of the stage of a job that holds most, beyond the bare worker; ``stitched`` is 0 on a graphics card."""
    channels = len(manifest.channels)
    source = channels * sizes.source * voxel_bytes * (2 if channels > 1 else 1)
    held = source + _FLOAT * channels * sizes.prepared
    resampling = (
        _FLOAT * (3 * sizes.cropped + 2 * sizes.prepared + channels * sizes.cropped) if sizes.is_resampled else 0
    )
    labels = sizes.source * answer_dtype(manifest.label_count, overlap=manifest.overlapping is not None).itemsize
    windows = held + labels + (stitched + _FLOAT * channels * sizes.copied if stitched else 0)
    components = (1 + 3 * _FLOAT + 3) * sizes.source if tidies else 0  # a mask, three numberings of it, three masks
    wanted = restore = 0.0
    if probabilities:
        wanted = _FLOAT * manifest.label_count * sizes.source
        scores = _FLOAT * manifest.label_count * sizes.padded
        restore = held + scores + network + wanted + (_FLOAT + 2) * sizes.cropped + sizes.source
        restore += _FLOAT * (sizes.prepared + 3 * sizes.cropped) if sizes.is_resampled else 0
    tidy = source + wanted + network + 2 * labels + components
    return max(held + resampling, held + loading, windows, restore, tidy)

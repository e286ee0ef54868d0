"""What a run will take before it is started: windows, memory, seconds. Arithmetic only; no torch."""

from dataclasses import dataclass
from math import prod

from medseg.imaging.image import Affine, Shape
from medseg.imaging.preprocess import plan_grids
from medseg.inference.mirror_axes import mirror_axes
from medseg.inference.network_memory import choose_runner, network_bytes
from medseg.inference.window_plan import WindowPlan
from medseg.spec.job import Options
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
    shape: Shape,
    affine: Affine,
    manifest: ModelManifest,
    options: Options,
    *,
    seconds_per_window: float | None = None,
    auto_device: str = "cpu",
    weights_mb: float = 0.0,
    voxel_bytes: int = 2,
    probabilities: bool = False,
    openvino: bool = False,
) -> Forecast:
    """Say what a run will take.

    A crop to the body depends on the voxels, and so does air that is not run; the whole volume is taken, so that the
    forecast is never too small for them.

    Args:
        shape: voxels of the input along i, j, k.
        affine: ``(4, 4)`` of the input, voxel -> RAS mm.
        manifest: of the model.
        options: how it will be run.
        seconds_per_window: of one forward pass of one window, measured earlier; None: what the manifest says of such
            a device.
        auto_device: what the device "auto" means there: "cpu" or "cuda".
        weights_mb: size of the model's weights.
        voxel_bytes: of a voxel of the input.
        probabilities: whether they are wanted too.
        openvino: whether OpenVINO is installed where it will run.

    Raises:
        JobError: if the region misses the volume, or mirroring is asked of a model that names no axes.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    device = (auto_device if options.device == "auto" else options.device).partition(":")[0]
    crop, resample = plan_grids(
        shape,
        affine,
        manifest,
        options.roi_ras_mm,
        roi_voxels=options.roi_voxels,
        spacing_factor=options.spacing_factor,
    )
    i, j, k = map(max, resample.shape, manifest.window_shape)
    plan = WindowPlan(
        (i, j, k), manifest.window_shape, manifest.overlap if options.overlap is None else options.overlap
    )
    windows, passes = len(plan), 2 ** len(mirror_axes(manifest, options.mirror))
    sizes = _Sizes(
        source=prod(shape),
        cropped=prod(crop.shape),
        prepared=prod(resample.shape),
        padded=i * j * k,
        is_resampled=not resample.is_identity,
        held=i * j * k if probabilities else plan.voxels_held,
    )
    runner = choose_runner(options, device, windows * passes, openvino=openvino)
    batch = min(options.window_batch, windows)
    network = network_bytes(manifest, runner, device=device, batch=batch, weights=weights_mb * _MB)
    stitched = network + _stitching(sizes, manifest, 2 * batch if passes > 1 else batch)
    on_card = device != "cpu"
    host = _host_bytes(
        sizes,
        manifest,
        weights_mb * _MB if on_card else network,
        loading=2 * weights_mb * _MB,  # the file is mapped while the network is filled from it
        stitched=0.0 if on_card else stitched,
        voxel_bytes=voxel_bytes,
        tidies=_tidies(manifest, options),
        probabilities=probabilities,
    )
    timed = (timing.seconds_per_window for timing in manifest.timings if timing.device_kind == device)
    pace = seconds_per_window if seconds_per_window is not None else next(filter(None, timed), None)
    card = stitched + _FLOAT * sizes.padded * len(manifest.channels)
    return Forecast(
        windows=windows,
        passes=passes,
        memory_mb=(CUDA_WORKER_MB if device == "cuda" else WORKER_MB) + round(host / _MB),
        device_memory_mb=CUDA_CONTEXT_MB + round(card / _MB) if on_card else None,
        seconds=None if pace is None else windows * passes * pace,
    )


def _stitching(sizes: _Sizes, manifest: ModelManifest, answers: int) -> float:
    """Bytes of the sums that are not finished, their weights, and the answers that are added to them."""
    return _FLOAT * (
        (manifest.label_count + 1) * sizes.held + answers * manifest.label_count * prod(manifest.window_shape)
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
    labels = sizes.source * (1 if manifest.label_count <= 256 else 2)
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


def _tidies(manifest: ModelManifest, options: Options) -> bool:
    rule = options.postprocess or manifest.postprocess
    return rule.keep_largest or rule.min_island_mm3 > 0 or rule.fill_holes_mm3 > 0

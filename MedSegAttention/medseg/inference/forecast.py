"""What a run will take before it is started: windows, memory, seconds. Arithmetic only; no torch."""

import re
from dataclasses import dataclass
from math import prod

from medseg.imaging.image import Affine, Shape
from medseg.imaging.preprocess import plan_grids
from medseg.inference.mirror_axes import mirror_axes
from medseg.inference.windows import window_starts
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest

SECONDS_KEY = "seconds a window, one pass, median"  # in a manifest's timings, with the device after it in brackets
MEMORY_KEY = "MiB a window"

WORKER_MB = 330  # resident memory of a worker that has loaded everything but a network: measured, torch 2.13 on a CPU
CUDA_WORKER_MB = 1500  # the same with CUDA's libraries and context: an estimate
CUDA_CONTEXT_MB = 500  # what CUDA takes of a card before the first tensor: an estimate

# Activations of one window: measured are 98 (UltraLightUNet), 115 to 143 (D-LKA Net) float32 values a voxel of the
# window, and 420 for an UltraLightUNet that does not pool at first; the first pass alone touches about 20 MiB of code.
VALUES_PER_VOXEL = 128
FIRST_PASS_MB = 32

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
) -> Forecast:
    """Say what a run will take.

    A crop to the body depends on the voxels; the whole volume is taken, so that the forecast is never too small.

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

    Raises:
        JobError: if the region misses the volume, or mirroring is asked of a model that names no axes.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    device = (auto_device if options.device == "auto" else options.device).partition(":")[0]
    crop, resample = plan_grids(
        shape, affine, manifest, options.roi_ras_mm, roi_voxels=options.roi_voxels, coarser=options.coarser
    )
    padded = tuple(map(max, resample.shape, manifest.window_shape))
    overlap = manifest.overlap if options.overlap is None else options.overlap
    windows = prod(
        len(window_starts(size, window, overlap)) for size, window in zip(padded, manifest.window_shape, strict=True)
    )
    passes = 2 ** len(mirror_axes(manifest, options.mirror))
    sizes = _Sizes(prod(shape), prod(crop.shape), prod(resample.shape), prod(padded), not resample.is_identity)
    network = weights_mb * _MB + min(options.window_batch, windows) * _activations(manifest, device)
    tidies = _tidies(manifest, options)
    on_card = device != "cpu"
    host = _host_bytes(
        sizes, manifest, 0.0 if on_card else network, voxel_bytes, tidies=tidies, probabilities=probabilities
    )
    card = network + _FLOAT * sizes.padded * (len(manifest.channels) + 1 + manifest.label_count)
    pace = seconds_per_window if seconds_per_window is not None else _known(manifest, SECONDS_KEY, device)
    return Forecast(
        windows=windows,
        passes=passes,
        memory_mb=(CUDA_WORKER_MB if device == "cuda" else WORKER_MB) + round(host / _MB),
        device_memory_mb=CUDA_CONTEXT_MB + round(card / _MB) if on_card else None,
        seconds=None if pace is None else windows * passes * pace,
    )


def _host_bytes(
    sizes: _Sizes, manifest: ModelManifest, network: float, voxel_bytes: int, *, tidies: bool, probabilities: bool
) -> float:
    """Bytes of the stage of a job that holds most, beyond the bare worker; ``network`` is 0 on a graphics card."""
    channels, labels = len(manifest.channels), manifest.label_count
    held = channels * (sizes.source * voxel_bytes * (2 if channels > 1 else 1) + _FLOAT * sizes.prepared)
    resampling = _FLOAT * (3 * sizes.cropped + 2 * sizes.prepared) if sizes.is_resampled else 0
    preprocess = held + resampling + (_FLOAT * channels * sizes.cropped if sizes.is_resampled else 0)
    scores = _FLOAT * labels * sizes.padded
    windows = held + scores + network + (_FLOAT * (channels + 1) * sizes.padded if network else 0)
    wanted = _FLOAT * labels * sizes.source if probabilities else 0
    restore = held + scores + network + wanted + (_FLOAT + 2) * sizes.cropped + sizes.source
    if sizes.is_resampled:
        restore += _FLOAT * (sizes.prepared + 3 * sizes.cropped)
    components = (1 + 3 * _FLOAT + 3) * sizes.source if tidies else 0  # a mask, three numberings of it, three masks
    tidy = held + wanted + network + 2 * sizes.source + components
    return max(preprocess, windows, restore, tidy)


def _tidies(manifest: ModelManifest, options: Options) -> bool:
    rule = options.postprocess or manifest.postprocess
    return rule.keep_largest or rule.min_island_mm3 > 0 or rule.fill_holes_mm3 > 0


def _activations(manifest: ModelManifest, device: str) -> float:
    """Bytes the network takes for one window."""
    measured = _known(manifest, MEMORY_KEY, device)
    if measured is not None:
        return measured * _MB
    return FIRST_PASS_MB * _MB + _FLOAT * VALUES_PER_VOXEL * prod(manifest.window_shape)


def _known(manifest: ModelManifest, key: str, device: str) -> float | None:
    """A figure of the manifest that was measured on a device of this kind, e.g. "... (NVIDIA RTX A2000 (cuda:0))"."""
    pattern = re.compile(rf"{re.escape(key)} \(.*\b{re.escape(device)}(:\d+)?\)+")
    found = (value for name, value in manifest.timings.items() if pattern.fullmatch(name))
    return next((float(value) for value in found if isinstance(value, int | float) and value > 0), None)

"""A prepared array in, probabilities out: padding, precision, mirroring and the sliding window in one call."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medseg.imaging.image import Shape
from medseg.inference.mirroring import mirrored
from medseg.inference.run_plan import NetworkPlan
from medseg.inference.slicewise import add_border_slices, as_slices, slice_margin, slicewise
from medseg.inference.sliding_window import ignore_window, plan_weights, predict_volume
from medseg.inference.windows import WindowPlan
from medseg.spec.errors import JobError
from medseg.spec.job import Precision
from medseg.spec.manifest import ModelManifest
from medseg.spec.monai import Padding

# Networks whose weights are laid out channels last on a CPU: measured 1.2 to 1.3 times as fast for UltraLightUNet,
# whose convolutions are depthwise, and slower for D-LKA Net. Values do not change.
_FASTER_CHANNELS_LAST = frozenset({"ultralight_unet"})
_SAMPLE_COUNT = 3
_SAMPLE_STEP = 4  # voxels: a window is judged by every fourth along each axis
_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class HalfPrecisionOverflow(JobError):
    """A network's values left the range of the half precision it ran in; float32 may hold them."""


def predict(
    array: NDArray[np.float32],
    network: nn.Module,
    plan: NetworkPlan,
    *,
    on_window: Callable[[int, int], None] = ignore_window,
    engine: Callable[[Tensor], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Run a model over a preprocessed volume of any size.

    An axis shorter than the window is padded with 0 on both sides, as MONAI does, and cropped back. 0 rather than
    the edge value: it is what networks see in training at the border, and repeated edges would draw out anatomy.

    Args:
        array: ``(C, i, j, k)``, prepared as the manifest says.
        network: in evaluation mode, ``(B, C, i, j, k)`` -> logits ``(B, L, i, j, k)``; moved to the device. Where the
            manifest says slices, a 2D network as ``slicewise`` takes it.
        plan: made for an array of this shape. The sums are kept on its device.
        on_window: called with (windows done, windows in all); whatever it raises stops the work.
        engine: what runs in the place of the network, made for the plan's device and precision by ``make_engine`` for
            windows of ``network_shape(manifest)``; None: the network itself.

    Returns:
        ``(L, i, j, k)`` float32 probabilities, summing to 1 over L unless labels may overlap; logits where these are
        interpolated, as nnU-Net and some of MONAI's bundles do it.

    Raises:
        JobError: when the answer is not finite in float32.
        HalfPrecisionOverflow: when the answer is not finite in a half precision.
        ValueError: when the plan was made for an array of another shape.
    """
    padded = pad_volume(array, plan)
    answer = answering(network, plan, engine)
    with torch.inference_mode():
        logits = predict_volume(
            padded.volume,
            answer,
            tuple(plan.windows),
            label_count=plan.manifest.network_outputs,
            weights=plan_weights(plan.windows, padded.volume.device),
            dtype=torch.float16 if plan.windows.as_nnunet else torch.float32,
            batch=plan.window_batch,
            margin=padded.margin,
            on_window=on_window,
        )[(slice(None), *padded.inside)]
        logits = mean_of_folds(logits, plan.manifest)
        if not _is_finite(logits):
            raise not_finite(plan)
        if plan.manifest.interpolates_logits:
            return logits.float().cpu().numpy()
        overlap = plan.manifest.overlapping is not None
        return (logits.sigmoid_() if overlap else _softmax_in_place(logits)).cpu().numpy()


@dataclass(frozen=True, eq=False)
class PaddedVolume:
    """A prepared image as windows are cut from it.

    Attributes:
        volume: ``(C, I, J, K)`` on the network's device, no smaller than a window, with the margin on both sides.
        margin: voxels that the network sees beyond a window, on each side along i, j, k.
        inside: where the prepared image lies in the volume without the margin.
    """

    volume: Tensor
    margin: Shape
    inside: tuple[slice, slice, slice]

    @property
    def shape(self) -> Shape:
        """Voxels that windows cover, along i, j, k."""
        i, j, k = (size - 2 * extra for size, extra in zip(self.volume.shape[1:], self.margin, strict=True))
        return i, j, k


def pad_volume(array: NDArray[np.float32], plan: NetworkPlan) -> PaddedVolume:
    """Pad a prepared array ``(C, i, j, k)`` to the window, give it its margin, and bring it to the plan's device.

    Raises:
        ValueError: when the plan was made for an array of another shape.
    """
    tensor = torch.from_numpy(np.require(array, np.float32, ["C", "W"])).to(plan.device)
    fill = "constant" if plan.manifest.monai is None else plan.manifest.monai.padding
    volume, (_, i, j, k) = pad_to_window(tensor, plan.windows.window_shape, fill)
    if tuple(volume.shape[1:]) != plan.windows.shape:
        msg = f"the plan is made for a volume of {plan.windows.shape} when it is padded, got {tuple(volume.shape[1:])}"
        raise ValueError(msg)
    rule = plan.manifest.slices
    if rule is None:
        return PaddedVolume(volume, (0, 0, 0), (i, j, k))
    return PaddedVolume(add_border_slices(volume, rule), slice_margin(rule), (i, j, k))


def answering(
    network: nn.Module, plan: NetworkPlan, engine: Callable[[Tensor], Tensor] | None
) -> Callable[[Tensor], Tensor]:
    """Make what answers windows ``(B, C, i, j, k)`` with logits ``(B, L, i, j, k)``; arguments as of ``predict``."""
    device = torch.device(plan.device)
    if engine is None:
        network.to(device)
        if device.type == "cpu" and plan.manifest.network in _FASTER_CHANNELS_LAST:
            layout = torch.channels_last_3d if plan.manifest.slices is None else torch.channels_last
            network.to(memory_format=layout)  # type: ignore[call-overload]
    answer = engine or _in_precision(network, device, plan.precision)
    if plan.manifest.slices is not None:
        answer = slicewise(answer, plan.manifest.slices)
    return mirrored(answer, plan.mirror_axes, plan.manifest.side_exchange)


def mean_of_folds(logits: Tensor, manifest: ModelManifest) -> Tensor:
    """Average what several folds of nnU-Net said, in the precision that they come in, as nnU-Net does.

    Args:
        logits: ``(folds * L, ...)``.
        manifest: says how many folds there are.

    Returns:
        ``(L, ...)``; of one fold what came in.
    """
    if manifest.network_outputs == manifest.label_count:
        return logits
    folds = manifest.network_outputs // manifest.label_count
    apart = logits.reshape(folds, manifest.label_count, *logits.shape[1:])
    total = apart[0].clone()
    for number in range(1, folds):
        total += apart[number]
    return total.div_(folds)


def sample_windows(array: NDArray[np.float32], plan: NetworkPlan) -> Tensor:
    """Choose the windows of a prepared array whose voxels differ most: they hold anatomy, not air.

    On these engines are compared.

    Args:
        array: ``(C, i, j, k)``, prepared as the manifest says.
        plan: made for an array of this shape.

    Returns:
        ``(B, C, *S)`` as the model's network takes them, at most 3.
    """
    padded = pad_volume(array, replace(plan, device="cpu"))
    apart = WindowPlan(plan.windows.shape, plan.windows.window_shape, 0.0)
    boxes = [window.widened(padded.margin) for window in apart]
    every = slice(None, None, _SAMPLE_STEP)

    def spread(box: tuple[slice, slice, slice]) -> float:
        return float(padded.volume[(slice(None), *box)][:, every, every, every].std(correction=0))

    chosen = sorted(boxes, key=spread, reverse=True)[:_SAMPLE_COUNT]
    windows = torch.stack([padded.volume[(slice(None), *box)] for box in chosen])
    return windows if plan.manifest.slices is None else as_slices(windows, plan.manifest.slices)


def network_shape(manifest: ModelManifest) -> tuple[int, ...]:
    """What a network is shown, without the batch: ``(C, i, j, k)``, of slices ``(C, h, w)`` with the neighbours' C."""
    return manifest.network_channels, *manifest.network_shape


def pad_to_window(
    volume: Tensor, window_shape: tuple[int, int, int], fill: Padding = "constant"
) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad on both sides where a volume is smaller than the window.

    Args:
        volume: ``(C, I, J, K)``.
        window_shape: voxels of a window along i, j, k.
        fill: with 0 ("constant"), or as ``torch.nn.functional.pad`` calls other ways.

    Returns:
        The padded volume, and the slices ``(all, i, j, k)`` that crop back to what came in.
    """
    missing = [max(0, window - size) for size, window in zip(volume.shape[1:], window_shape, strict=True)]
    before = [count // 2 for count in missing]
    inside = (
        slice(None),
        *(slice(first, first + size) for first, size in zip(before, volume.shape[1:], strict=True)),
    )
    if not any(missing):
        return volume, inside
    # functional.pad counts from the last axis
    sides = [side for axis in (2, 1, 0) for side in (before[axis], missing[axis] - before[axis])]
    return (functional.pad(volume, sides) if fill == "constant" else functional.pad(volume, sides, fill)), inside


def not_finite(plan: NetworkPlan) -> JobError:
    """Make the error about an answer that is not finite."""
    rule = f"{plan.manifest.model_id} gave values that are not finite in {plan.precision}"
    if plan.precision in _HALF:
        return HalfPrecisionOverflow(f"{rule}; try precision float32")
    return JobError(f"{rule}; check the image for absurd values, or use another model")


def _in_precision(
    network: Callable[[Tensor], Tensor], device: torch.device, precision: Precision
) -> Callable[[Tensor], Tensor]:
    def run(windows: Tensor) -> Tensor:
        if precision not in _HALF:
            return network(windows)
        with torch.autocast(device.type, dtype=_HALF[precision]):
            return network(windows)

    return run


def _is_finite(logits: Tensor) -> bool:
    """Ask slice by slice: the question makes copies, and all at once they would be as large as the scores."""
    return all(bool(torch.isfinite(logits[:, plane]).all()) for plane in range(logits.shape[1]))


def _softmax_in_place(logits: Tensor) -> Tensor:
    """Softmax over axis 0, one slice i at a time: no second copy of a large volume."""
    for plane in range(logits.shape[1]):
        logits[:, plane] = torch.softmax(logits[:, plane], dim=0)
    return logits

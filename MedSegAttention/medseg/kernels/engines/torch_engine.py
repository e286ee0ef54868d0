"""PyTorch as an engine: a lean copy of the network, always there."""

import time
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from medseg.kernels.engines.agreement import agrees, plain_answers, trial_windows
from medseg.kernels.engines.engine import Engine
from medseg.kernels.engines.folding import fold_batch_norms, fold_shuffles
from medseg.kernels.engines.lean_blocks import has_lean_form, use_lean_blocks
from medseg.spec.job import Precision

_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def torch_engine(
    network: nn.Module,
    window_shape: tuple[int, ...],
    *,
    device: torch.device,
    precision: Precision = "float32",
    lean: bool = True,
) -> Engine:
    """Run a network by PyTorch.

    Args:
        network: in evaluation mode; left as it is, but moved to the device.
        window_shape: ``(C, *S)``.
        device: where it runs.
        precision: float32, or a half precision by autocast.
        lean: fold norms and shuffles into the weights of a copy and lay it out for the processor's kernels. Costs
            three forward passes, one to see the network's parts and two to compare; a copy that says something else
            is not used. A network in which there is nothing to change, as nnU-Net's, runs as it is at once.
    """
    begun = time.perf_counter()
    ready, remarks = network.to(device).eval(), []
    if lean and _may_be_leaner(ready):
        copy = lean_copy(ready, window_shape, device)
        windows = trial_windows(window_shape, device)[:1]
        expected, found = plain_answers(ready, windows), plain_answers(copy, windows)
        if all(map(agrees, found, expected)):
            ready = copy
        else:
            remarks.append("this network answers differently with its norms folded, so it runs as it is")

    def run(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            if precision not in _HALF:
                return ready(batch)  # type: ignore[no-any-return]
            with torch.autocast(device.type, dtype=_HALF[precision]):
                return ready(batch)  # type: ignore[no-any-return]

    version = torch.__version__.partition("+")[0]
    return Engine(f"PyTorch {version} ({precision})", run, tuple(remarks), time.perf_counter() - begun)


def lean_copy(
    network: nn.Module, window_shape: tuple[int, ...], device: torch.device, *, layout: bool = True
) -> nn.Module:
    """A copy with folded norms and shuffles; with ``layout`` in the memory layout that suits it on a processor."""
    copy = deepcopy(network).requires_grad_(False)
    fold_batch_norms(copy, torch.zeros(1, *window_shape, device=device))
    fold_shuffles(copy)
    if device.type == "cpu":
        use_lean_blocks(copy)
    if layout and device.type == "cpu" and mostly_depthwise(copy) and len(window_shape) + 1 in _LAYOUTS:
        copy.to(memory_format=_LAYOUTS[len(window_shape) + 1])  # type: ignore[call-overload]
    return copy


def _may_be_leaner(network: nn.Module) -> bool:
    """Whether a lean copy could differ from the network at all."""
    parts = list(network.modules())
    return mostly_depthwise(network) or any(isinstance(part, _BatchNorm) or has_lean_form(part) for part in parts)


def mostly_depthwise(network: nn.Module) -> bool:
    """Whether most convolutions wider than a voxel work channel by channel: only they are faster channels last."""
    wide = [
        module
        for module in network.modules()
        if isinstance(module, _ConvNd) and any(size > 1 for size in module.kernel_size)
    ]
    return 2 * sum(module.groups == module.in_channels > 1 for module in wide) > len(wide)

"""Which operators run on Triton's kernels here, and why others do not.

A kernel is used for a tensor on a CUDA device if Triton is there (Linux), knows the device and the numbers, and once
gave PyTorch's own answer on a small case of that operator, device and dtype. Otherwise the PyTorch form runs. With
``TRITON_INTERPRET=1``, set before the start, Triton carries its kernels out on the CPU, slowly: for tests.
"""

import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_OLDEST_CARD = (7, 5)
_OLDEST_CARD_FOR_BFLOAT16 = (8, 0)
_LARGEST = 2**31 - 2**16  # kernels count in 32 bits what belongs to one sample, and the voxels of all
_TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
# What loading, compiling or launching a kernel may fail with. Triton's own errors are no subclass of these; their
# base is added once Triton is loaded.
_FAILURES = (ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class Kernel(NamedTuple):
    """An operator on Triton's kernels.

    Attributes:
        module: where it lies, imported on first use.
        trial: runs it and PyTorch's form on a small case, given the module, a device and a dtype; (found, expected).
    """

    module: str
    trial: Callable[[Any, torch.device, torch.dtype], tuple[Sequence[Tensor], Sequence[Tensor]]]


def select_kernels(name: str, first: Tensor, *others: Tensor | None, deterministic: bool = True) -> Any | None:
    """The module with an operator's kernels if they fit these tensors, else nothing.

    Args:
        name: "deform_conv" or "depthwise".
        first: gives device and dtype; it lies on a device with kernels.
        *others: what else the operator works on.
        deterministic: whether the kernels add in the same order every time.
    """
    reason = _misfit(first, (first, *others), deterministic=deterministic) or _unusable(name, first.device, first.dtype)
    return import_module(KERNELS[name].module) if reason is None else None


def kernels_here() -> str:
    """One sentence for a report: whether Triton's kernels can be used on this machine."""
    if not torch.cuda.is_available():
        return "not used: PyTorch finds no CUDA device"
    device = torch.device("cuda", torch.cuda.current_device())
    for name in KERNELS:
        try:
            reason = _old_card(device, torch.float32) or _unusable(name, device, torch.float32)
        except torch.OutOfMemoryError:
            reason = "the card's memory is full"
        if reason is not None:
            return f"not used for {name}: {reason}"
    return f"used for {', '.join(KERNELS)}"


def _misfit(first: Tensor, tensors: Sequence[Tensor | None], *, deterministic: bool) -> str | None:
    """Why these tensors cannot go through any kernel."""
    if first.dtype not in _DTYPES:
        return f"{first.dtype} is not among the kernels' numbers, which are float32, float16 and bfloat16"
    if not deterministic and torch.are_deterministic_algorithms_enabled():
        return "deterministic algorithms were asked for, and the kernels add in any order"
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.device != first.device or tensor.dtype not in _DTYPES or tensor.numel() == 0:
            return f"shape {tuple(tensor.shape)} in {tensor.dtype} on {tensor.device} does not fit"
        if tensor.numel() // min(tensor.shape[:2]) > _LARGEST:
            return f"shape {tuple(tensor.shape)} is too large for counting in 32 bits"
    return _old_card(first.device, first.dtype)


def _old_card(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda":
        return None
    if torch.version.cuda is None:
        return "PyTorch was not built for CUDA"
    capability = torch.cuda.get_device_capability(device)
    needed = _OLDEST_CARD_FOR_BFLOAT16 if dtype == torch.bfloat16 else _OLDEST_CARD
    if capability < needed:
        return f"{dtype} needs compute capability {needed[0]}.{needed[1]}, and the card has {capability}"
    return None


@cache
def _unusable(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why an operator's kernels cannot be used with a device and dtype; found out once, on a small case."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    try:
        errors: Any = import_module("triton.runtime.errors")
        failures = (*_FAILURES, errors.TritonError, subprocess.SubprocessError)
    except ImportError as error:
        return f"Triton does not load ({error})"
    try:
        kernel = KERNELS[name]
        # neither the caller's precision nor its inference mode holds for the trial
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
            found, expected = kernel.trial(import_module(kernel.module), device, dtype)
            apart = [_difference(one, other) for one, other in zip(found, expected, strict=True)]
    except torch.OutOfMemoryError:
        raise
    except failures as error:
        return f"its kernels do not run here ({type(error).__name__}: {str(error).strip().splitlines()[-1:]})"
    if not max(apart) <= _TOLERANCES[dtype]:
        return f"its kernels differ from PyTorch's answers by {max(apart):.1e} of their size"
    return None


def _difference(found: Tensor, expected: Tensor) -> float:
    expected = expected.to(found.device).double()
    return float(torch.linalg.vector_norm(found.double() - expected) / torch.linalg.vector_norm(expected))


def _random(device: torch.device, dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)  # PyTorch's own sequence of random numbers stays as it is
    return [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]


def _try_deform(module: Any, device: torch.device, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    from medseg.networks.ops import deform_passes as plain

    settings = plain.Settings((1,) * 3, (1,) * 3, (1,) * 3, groups=1, deformable_groups=1)
    x, weight, above = _random(device, dtype, (1, 3, 2, 3, 2), (2, 3, 1, 3, 1), (1, 2, 4, 3, 4))
    (offset,) = _random(device, torch.float32, (1, 9, 4, 3, 4))
    wanted = (True, True, True)
    found = [module.convolve(x, offset, weight, None, settings)]
    found += module.convolve_backward(above, x, offset, weight, settings, wanted)
    x, weight, above = x.float(), weight.float(), above.float()
    expected = [plain.convolve(x, offset, weight, None, settings)]
    return found, [*expected, *plain.convolve_backward(above, x, offset, weight, settings, wanted)]  # type: ignore[list-item]


def _try_depthwise(module: Any, device: torch.device, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    shapes = [(1, 1, size, size) for size in (1, 3, 5)]
    x, *weights = _random(device, dtype, (1, 1, 3, 4), *shapes)
    factor, shift = _random(device, torch.float32, (1,), (1,))
    above = [x, -x, 2 * x]
    found = [*module.convolve(x, weights), module.filtered(x, weights, [factor.abs()] * 3, [shift.abs()] * 3)]
    found += [module.image_gradient(above, x, weights), *module.weight_gradients(above, x, weights)]
    leaves = [value.detach().float().requires_grad_() for value in (x, *weights)]
    with torch.enable_grad():
        plain = [torch.nn.functional.conv2d(leaves[0], one, padding=one.shape[-1] // 2) for one in leaves[1:]]
        total = sum((one * factor.abs() + shift.abs()).clamp(0, 6) for one in plain)
        gradients = torch.autograd.grad(plain, leaves, [value.float() for value in above])
    return found, [*plain, torch.as_tensor(total), *gradients]


KERNELS = {
    "deform_conv": Kernel("medseg.kernels.triton.deform", _try_deform),
    "depthwise": Kernel("medseg.kernels.triton.depthwise", _try_depthwise),
}

"""The depthwise branches of a multi-kernel block in one pass over the image, where a kernel for that runs."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from medseg.networks.ops.accelerated import kernels_for, may_have_kernels

_SIZES = (1, 3, 5)


def branches_in_one_pass(x: Tensor, branches: Iterable[nn.Module]) -> Tensor | None:
    """The sum of what the branches say about x, or nothing where they have to be called one by one.

    With fixed norms and no gradients to come, norms, ReLU6 and the sum are part of the pass too. Otherwise the pass
    gives the three convolutions, as the statistics of each are needed before its norm can be applied.

    Args:
        x: (B, C, *S).
        branches: each a depthwise convolution, a batch or instance norm or identity, and ReLU6.

    Returns:
        (B, C, *S), what ``sum(branch(x) for branch in branches)`` is.
    """
    parts: list[Any] = list(branches)
    if not may_have_kernels(x) or not _fit(x, parts):
        return None
    kind = x.device.type
    lowered = torch.is_autocast_enabled(kind) and x.dtype != torch.float64  # which autocast leaves alone
    dtype = torch.get_autocast_dtype(kind) if lowered else x.dtype
    weights = [part[0].weight for part in parts]
    image, kernels = x.to(dtype), [weight.to(dtype) for weight in weights]
    module = kernels_for("depthwise", [image, *kernels])
    if module is None:
        return None
    graph = torch.is_grad_enabled() and any(value.requires_grad for value in _values(x, parts))
    fixed = all(isinstance(part[1], nn.Identity) or _is_fixed(part[1]) for part in parts)
    if fixed and not graph:
        factors, shifts = zip(*(_factor_and_shift(part) for part in parts), strict=True)
        filtered: Tensor = module.filtered(image, kernels, factors, shifts)
        return filtered
    if any(part[0].bias is not None for part in parts):
        return None
    raw = module.MultiKernelDepthwise.apply(image, *kernels)
    one, three, five = (part[2](part[1](result)) for part, result in zip(parts, raw, strict=True))
    total: Tensor = one + three + five
    return total


def _fit(x: Tensor, parts: list[Any]) -> bool:
    return (
        x.ndim in (4, 5)
        and len(parts) == len(_SIZES)
        and all(_is_branch(part, size, x) for part, size in zip(parts, _SIZES, strict=True))
    )


def _is_branch(part: Any, size: int, x: Tensor) -> bool:
    if not isinstance(part, nn.Sequential) or len(part) != 3 or not isinstance(part[0], nn.Conv2d | nn.Conv3d):
        return False
    convolution, norm, answer = part
    axes = x.ndim - 2
    shape = (x.shape[1], 1, *[size] * axes)
    plain = convolution.stride == convolution.dilation == (1,) * axes and convolution.padding == (size // 2,) * axes
    plain = plain and convolution.padding_mode == "zeros"
    heard = any(_is_heard(one) for one in (part, *part))
    known = isinstance(norm, _BatchNorm | _InstanceNorm | nn.Identity) and isinstance(answer, nn.ReLU6)
    return bool(plain and known and not heard and convolution.weight.shape == shape)


def _is_heard(layer: nn.Module) -> bool:
    """Whether somebody listens to a layer, and so wants it called."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)


def _is_fixed(norm: _BatchNorm | _InstanceNorm) -> bool:
    return not norm.training and norm.running_mean is not None and norm.running_var is not None


def _values(x: Tensor, parts: list[Any]) -> list[Tensor]:
    return [x, *(value for part in parts for value in part.parameters())]


def _factor_and_shift(part: Any) -> tuple[Tensor, Tensor]:
    """What a fixed norm does to its convolution, bias included, as one product and one sum; (C,) each, float32."""
    convolution, norm = part[0], part[1]
    weight = convolution.weight
    bias = weight.new_zeros(len(weight)) if convolution.bias is None else convolution.bias
    if isinstance(norm, nn.Identity):
        return torch.ones_like(bias, dtype=torch.float32), bias.float()
    factor = torch.rsqrt(norm.running_var.float() + norm.eps)
    factor = factor if norm.weight is None else factor * norm.weight.float()
    shift = (bias.float() - norm.running_mean.float()) * factor
    return factor, shift if norm.bias is None else shift + norm.bias.float()

"""Batch norms and channel shuffles that cost nothing: both go into the weights of the convolution beside them."""

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from medseg.networks.blocks.mkir import MKIR

Pair: TypeAlias = tuple[_ConvNd, _BatchNorm]


def fold_batch_norms(network: nn.Module, example: Tensor) -> int:
    """Put each batch norm into the convolution whose output it takes, in place.

    Which belongs to which is seen in one forward pass. A convolution whose output something else uses too is not
    noticed: compare what the network says before and after.

    Args:
        network: in evaluation mode; its weights are replaced, so hand over a copy.
        example: a batch the network takes.

    Returns:
        How many norms are gone.
    """
    pairs = _pairs(network, example)
    for convolution, norm in pairs:
        _fold(convolution, norm)
    gone = {id(norm) for _, norm in pairs}
    for parent in network.modules():
        for name, child in parent.named_children():
            if id(child) in gone:
                setattr(parent, name, nn.Identity())
    return len(pairs)


def fold_shuffles(network: nn.Module) -> int:
    """Let the projection of every multi-kernel block read its channels where they lie, in place; how many."""
    count = 0
    for block in network.modules():
        if not isinstance(block, MKIR) or block.shuffle_groups == 1:
            continue
        projection: Any = block.project[0]
        weight: Tensor = projection.weight
        channels = weight.shape[1]
        order = torch.arange(channels).view(block.shuffle_groups, -1).t().reshape(-1)
        moved = torch.empty_like(weight)
        moved[:, order] = weight  # channel n of the shuffled image was channel order[n]
        projection.weight = nn.Parameter(moved, requires_grad=False)
        block.shuffle_groups = 1
        count += 1
    return count


def _pairs(network: nn.Module, example: Tensor) -> list[Pair]:
    """Convolutions and norms that only ever follow each other."""
    calls: Counter[nn.Module] = Counter()
    followed: Counter[Pair] = Counter()
    latest: dict[_ConvNd, weakref.ref[Tensor]] = {}

    def left(module: nn.Module, _: object, output: Tensor) -> None:
        calls[module] += 1
        if isinstance(module, _ConvNd):
            latest[module] = weakref.ref(output)

    def entered(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for convolution, output in latest.items():
            if isinstance(module, _BatchNorm) and inputs and output() is inputs[0]:
                followed[convolution, module] += 1

    with _hooked(network, left, entered), torch.inference_mode():
        network(example)
    return [
        (convolution, norm)
        for (convolution, norm), count in followed.items()
        if count == calls[convolution] == calls[norm] and _can_fold(convolution, norm)
    ]


@contextmanager
def _hooked(network: nn.Module, left, entered) -> Iterator[None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    modules = [module for module in network.modules() if isinstance(module, _ConvNd | _BatchNorm)]
    handles = [module.register_forward_hook(left) for module in modules]
    handles += [module.register_forward_pre_hook(entered) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _can_fold(convolution: _ConvNd, norm: _BatchNorm) -> bool:
    """Plain weights and running statistics; a weight that is computed anew at every call stays."""
    return "weight" in convolution._parameters and norm.running_mean is not None and not norm.training


def _fold(convolution: _ConvNd, norm: _BatchNorm) -> None:
    """Scale the weights of each output channel and move its bias; computed in float64."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return
    factor = torch.rsqrt(variance.double() + norm.eps)
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    shift = -mean.double() * factor
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.detach().double() * factor
    weight = convolution.weight.detach()
    if isinstance(convolution, _ConvTransposeNd):  # (I, O / groups, ...), groups along I
        by_group = weight.double().reshape(convolution.groups, -1, *weight.shape[1:])
        scaled = by_group * factor.view(convolution.groups, 1, -1, *[1] * (weight.ndim - 2))
    else:
        scaled = weight.double() * factor.view(-1, *[1] * (weight.ndim - 1))
    convolution.weight = nn.Parameter(scaled.reshape(weight.shape).to(weight.dtype), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)

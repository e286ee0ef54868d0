"""Counts multiply-accumulates on the meta device: shapes run through the network, no numbers do.

Conventions are those of fvcore, which the papers report: a convolution costs output elements x taps x channels of its
group, without the bias; a matrix product m x k x n; batch normalisation 2 an element in evaluation and 5 in training;
layer and group normalisation 5; instance normalisation without weights 4.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

NORM_COST, NORM_COST_WITHOUT_WEIGHTS, BATCH_NORM_COST_IN_EVALUATION = 5, 4, 2


class CostCounter(TorchDispatchMode):
    """Sums the cost of every operator called inside it, by kind: convolution, product, norm."""

    def __init__(self) -> None:
        super().__init__()
        self.cost: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        kind, count = COSTS.get(func.__name__.split(".")[0], (None, None))
        if kind is not None:
            self.cost[kind] += count(args, result)
        return result


def _convolution(args: tuple, result: Tensor) -> int:
    image, weight, transposed = args[0], args[1], args[6]
    places = image if transposed else result
    return image.shape[0] * weight.numel() * math.prod(places.shape[2:])


def _batch_norm(args: tuple, result: tuple) -> int:
    if not args[5]:
        return BATCH_NORM_COST_IN_EVALUATION * args[0].numel()
    return _norm(args, result)


def _norm(args: tuple, _: tuple) -> int:
    weighted = any(isinstance(value, Tensor) for value in args[1:3])
    return (NORM_COST if weighted else NORM_COST_WITHOUT_WEIGHTS) * args[0].numel()


def _layer_norm(args: tuple, _: tuple) -> int:
    return NORM_COST * args[0].numel()


def _product(args: tuple, result: Tensor) -> int:
    return result.numel() * args[-2].shape[-1]


COSTS: dict[str, tuple[str, Callable]] = {
    "convolution": ("convolution", _convolution),
    "bmm": ("product", _product),
    "mm": ("product", _product),
    "addmm": ("product", _product),
    "native_batch_norm": ("norm", _batch_norm),
    "native_layer_norm": ("norm", _layer_norm),
    "native_group_norm": ("norm", _layer_norm),
}


def count_cost(
    build: Callable[[], nn.Module], shape: Sequence[int], *, training: bool = False
) -> tuple[int, Counter[str]]:
    """Parameters, and the cost of one forward pass by kind."""
    with torch.device("meta"):
        network, image = build().train(training), torch.empty(tuple(shape))
    with CostCounter() as counter, torch.no_grad():
        network(image)
    return sum(parameter.numel() for parameter in network.parameters()), counter.cost

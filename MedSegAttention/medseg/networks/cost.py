"""Parameters and multiply-accumulates of a network, counted on the meta device: shapes run through it, no numbers do.

Conventions are those of fvcore, which the papers report: a convolution costs output elements x taps x channels of its
group, without the bias; a matrix product m x k x n; batch normalisation 2 an element in evaluation and 5 in training;
layer and group normalisation 5; instance normalisation without weights 4.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from medseg.networks.meta_results import meta_result

Kind: TypeAlias = Literal["convolution", "product", "norm"]

NORM_COST, NORM_COST_WITHOUT_WEIGHTS, BATCH_NORM_COST_IN_EVALUATION = 5, 4, 2


class CostCounter(TorchDispatchMode):
    """Sums the cost of every operator called inside it, by kind."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cost: Counter[Kind] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator and add what it costs."""
        operator = func.__name__
        result = None if kwargs else meta_result(operator, args)
        if result is None:
            result = func(*args, **(kwargs or {}))
        if known := COSTS.get(operator.split(".")[0]):
            kind, count = known
            self.cost[kind] += count(args, result)
        return result


def _convolution(args: tuple[Any, ...], result: Tensor) -> int:
    image, weight, transposed = args[0], args[1], args[6]
    places = image if transposed else result
    return int(image.shape[0] * weight.numel() * math.prod(places.shape[2:]))


def _batch_norm(args: tuple[Any, ...], result: Any) -> int:
    if not args[5]:
        return BATCH_NORM_COST_IN_EVALUATION * int(args[0].numel())
    return _norm(args, result)


def _norm(args: tuple[Any, ...], _: Any) -> int:
    weighted = any(isinstance(value, Tensor) for value in args[1:3])
    return (NORM_COST if weighted else NORM_COST_WITHOUT_WEIGHTS) * int(args[0].numel())


def _layer_norm(args: tuple[Any, ...], _: Any) -> int:
    return NORM_COST * int(args[0].numel())


def _product(args: tuple[Any, ...], result: Tensor) -> int:
    return int(result.numel() * args[-2].shape[-1])


COSTS: Mapping[str, tuple[Kind, Callable[[tuple[Any, ...], Any], int]]] = {
    "convolution": ("convolution", _convolution),
    "bmm": ("product", _product),
    "mm": ("product", _product),
    "addmm": ("product", _product),
    "native_batch_norm": ("norm", _batch_norm),
    "native_layer_norm": ("norm", _layer_norm),
    "native_group_norm": ("norm", _layer_norm),
}
"""Operators that cost something; all others (activations, resizing, pooling, copies) are counted as nothing."""


def count_cost(
    build: Callable[[], nn.Module], shape: Sequence[int], *, training: bool = False
) -> tuple[int, Counter[Kind]]:
    """Count the parameters, and the cost of one forward pass by kind.

    Args:
        build: makes the network; called with the meta device as default, so that no memory is used.
        shape: of the input, ``(B, C, [I,] J, K)``.
        training: count as in training; batch normalisation then needs more than one value a channel.

    Example:
        >>> count_cost(lambda: nn.Conv2d(2, 4, 3, padding=1), (1, 2, 8, 8))
        (76, Counter({'convolution': 4608}))
    """
    with torch.device("meta"):
        network, image = build().train(training), torch.empty(tuple(shape))
    with CostCounter() as counter, torch.no_grad():
        network(image)
    return sum(parameter.numel() for parameter in network.parameters()), counter.cost

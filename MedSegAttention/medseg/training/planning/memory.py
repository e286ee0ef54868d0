"""What a training step takes, counted on the meta device: shapes run through the network, no numbers do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from medseg.bundles.build import build_any
from medseg.inference.main_memory import main_memory_mb
from medseg.networks.cost import CostCounter
from medseg.training.planning.side_heads import SUPERVISION, has_side_heads

_OPTIMISER_COPIES = 5  # weights, gradients, two moments, averaged weights; all float32
_OVERHEAD = 1.6  # gradients of activations and scratch space of the operators, on top of what is kept
_UNKNOWN_MB = 4096  # assumed where the system tells nothing


@dataclass(frozen=True)
class StepCost:
    """What a training step in float32 takes.

    Attributes:
        memory_mb: MiB; every tensor that autograd keeps for the backward pass counts once.
        macs: multiply-accumulates of convolutions and products in the forward pass.
    """

    memory_mb: float
    macs: int


def step_cost(network: str, arguments: Mapping[str, Any], shape: Sequence[int]) -> StepCost:
    """Count a step of a network with the side heads it has in training; an answer is remembered.

    A plan asks for the same window again as a batch and as a patch, and one answer takes seconds.

    Args:
        network: its name.
        arguments: build it; values as in JSON.
        shape: of the batch, ``(B, C, [I,] J, K)``.

    Raises:
        TypeError, ValueError, RuntimeError: as the network raises them for arguments or a shape it does not take.
    """
    trained = {**arguments, **({SUPERVISION: True} if has_side_heads(network) else {})}
    return _remembered_cost(network, json.dumps(trained, sort_keys=True), tuple(shape))


@lru_cache(maxsize=256)
def _remembered_cost(network: str, arguments: str, shape: tuple[int, ...]) -> StepCost:
    return count_step(_built(network, arguments), shape)


@lru_cache(maxsize=4)
def _built(network: str, arguments: str) -> nn.Module:
    with torch.device("meta"):
        return build_any(network, **json.loads(arguments))


def count_step(network: nn.Module, shape: Sequence[int]) -> StepCost:
    """Count a training step of a network that lies on the meta device.

    Args:
        network: without numbers.
        shape: of the batch, ``(B, C, [I,] J, K)``.

    Raises:
        ValueError: as the network raises it for a shape it does not take.

    Example:
        >>> count_step(nn.Conv3d(1, 8, 3, padding=1, device="meta"), (1, 1, 64, 64, 64)).memory_mb > 1
        True
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    image = torch.empty(tuple(shape), device="meta")
    own = {tensor.untyped_storage()._cdata for tensor in network.parameters()}
    with CostCounter() as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network.train()(image)
    levels = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    answers = 6 * sum(level.numel() * level.element_size() for level in levels)  # softmax, loss and their gradients
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    weights = _OPTIMISER_COPIES * sum(parameter.numel() * 4 for parameter in network.parameters())
    memory_mb = float((_OVERHEAD * activations + answers + weights) / 2**20)
    return StepCost(memory_mb, counter.cost["convolution"] + counter.cost["product"])


def memory_at_hand_mb(device: torch.device) -> float:
    """What a training run can take of a device now, in MiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free / 2**20
    available, total = main_memory_mb()
    return float(available or (total or 2 * _UNKNOWN_MB) / 2)

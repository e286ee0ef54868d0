"""How much memory a training step takes, counted on the meta device: shapes run through the network, no numbers do."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medseg.inference.main_memory import main_memory_mb

_OPTIMISER_COPIES = 5  # weights, gradients, two moments, averaged weights; all float32
_OVERHEAD = 1.6  # gradients of activations and scratch space of the operators, on top of what is kept
_UNKNOWN_MB = 4096  # assumed where the system tells nothing


def step_memory_mb(build: Callable[[], nn.Module], shape: Sequence[int]) -> float:
    """Estimate what a training step in float32 takes, in MiB.

    Counts every tensor that autograd keeps for the backward pass, once.

    Args:
        build: makes the network; called with the meta device as default.
        shape: of the batch, ``(B, C, [I,] J, K)``.

    Raises:
        ValueError: as the network raises it for a shape it does not take.

    Example:
        >>> round(step_memory_mb(lambda: nn.Conv3d(1, 8, 3, padding=1), (1, 1, 64, 64, 64)), 1) > 1
        True
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.device("meta"):
        network, image = build().train(), torch.empty(tuple(shape))
    own = {tensor.untyped_storage()._cdata for tensor in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(image)
    levels = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    answers = 6 * sum(level.numel() * level.element_size() for level in levels)  # softmax, loss and their gradients
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    weights = _OPTIMISER_COPIES * sum(parameter.numel() * 4 for parameter in network.parameters())
    return float((_OVERHEAD * activations + answers + weights) / 2**20)


def memory_at_hand_mb(device: torch.device) -> float:
    """What a training run can take of a device now, in MiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free / 2**20
    available, total = main_memory_mb()
    return float(available or (total or 2 * _UNKNOWN_MB) / 2)

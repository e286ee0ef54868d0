"""Counts the bytes of tensors that are alive at once, at every operator; with the meta device no memory is needed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Keeps the largest sum of bytes held by storages made inside it; views share a storage and count once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        self._alive = {key: entry for key, entry in self._alive.items() if not entry[0].expired()}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given:
                storage = leaf.untyped_storage()
                self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(count for _, count in self._alive.values()))
        return result


def _on_meta(build: Callable[[], nn.Module], shape: Sequence[int]) -> tuple[nn.Module, Tensor]:
    with torch.device("meta"):
        return build(), torch.empty(tuple(shape))


def inference_bytes(build: Callable[[], nn.Module], shape: Sequence[int]) -> int:
    """Peak of what one forward pass without gradients makes, input and weights not counted."""
    module, image = _on_meta(build, shape)
    with torch.no_grad(), LiveBytes() as counter:
        module.eval()(image)
    return counter.peak


def training_bytes(build: Callable[[], nn.Module], shape: Sequence[int]) -> int:
    """Peak of a forward and a backward pass, input and weights not counted."""
    module, image = _on_meta(build, shape)
    with LiveBytes() as counter:
        module(image).sum().backward()
    return counter.peak


def saved_bytes(build: Callable[[], nn.Module], shape: Sequence[int]) -> int:
    """What a forward pass keeps for the backward pass, weights and input included; each storage once."""
    module, image = _on_meta(build, shape)
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return value

    with saved_tensors_hooks(keep, lambda value: value):
        result = module(image)  # held, so that no storage is freed and counted as another
    del result
    return sum(kept.values())

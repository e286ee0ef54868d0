"""One launch of a Triton kernel: what runs, on how many programs, with which arguments."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_WIDEST_BLOCK = 64
_NARROWEST_BLOCK = 16
_PROGRAMS_WANTED = 256  # about two a multiprocessor of a large card


@dataclass(frozen=True)
class Launch:
    """A kernel with everything it is called with.

    Attributes:
        kernel: a function under ``triton.jit``.
        programs: how many run, along up to three axes.
        arguments: by name.
        warps: groups of 32 threads a program gets.
        stages: loads under way at once in a loop; more than one keeps all of them in shared memory.
    """

    kernel: Any
    programs: tuple[int, ...]
    arguments: Mapping[str, Any]
    warps: int = 4
    stages: int = 1

    def run(self) -> None:
        """Queue it on the device where its tensors lie."""
        device = next(value.device for value in self.arguments.values() if isinstance(value, Tensor))
        with _on(device):
            self.kernel[self.programs](**self.arguments, num_warps=self.warps, num_stages=self.stages)


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below ``number``."""
    return 1 << max(0, number - 1).bit_length()


def block(number: int, widest: int = _WIDEST_BLOCK) -> int:
    """Entries a program takes of an axis in a matrix product: a power of two, at least what tensor cores take."""
    return max(_NARROWEST_BLOCK, min(widest, power_of_two(number)))


def blocks_for(rows: int, columns: int, *, tallest: int) -> tuple[int, int]:
    """Rows (at most ``tallest``) and columns a program takes, so that enough programs run to fill a card."""
    tall, wide = block(rows, tallest), block(columns)
    while math.ceil(rows / tall) * math.ceil(columns / wide) < _PROGRAMS_WANTED and max(tall, wide) > _NARROWEST_BLOCK:
        if tall >= wide:
            tall //= 2
        else:
            wide //= 2
    return tall, wide


def dot_precision() -> str:
    """How float32 factors are multiplied: in full, unless the caller has allowed TF32 for PyTorch's own products."""
    matmul: Any = torch.backends.cuda.matmul
    newer = getattr(matmul, "fp32_precision", None)
    allowed = newer == "tf32" if newer is not None else matmul.allow_tf32
    return "tf32" if allowed else "ieee"


def _on(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

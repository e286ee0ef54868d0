"""Whether an operator may run on kernels that are faster here; the plain forms beside this file are always there.

The kernels lie in ``medseg.kernels.triton`` and are looked up by name when the first tensor that could use them
comes: a network needs none of them, and on a processor none is imported.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

SELECTION = "medseg.kernels.triton.selection"


def kernels_for(name: str, tensors: Sequence[Tensor | None], *, deterministic: bool = True) -> Any | None:
    """The module with an operator's kernels if they run here, fit these tensors and agree with PyTorch, else nothing.

    Args:
        name: "deform_conv" or "depthwise".
        tensors: what the operator works on; the first gives device and dtype, samples along its first axis.
        deterministic: whether the kernels add in the same order every time.
    """
    first = tensors[0]
    if first is None or not may_have_kernels(first):
        return None
    return import_module(SELECTION).select_kernels(name, *tensors, deterministic=deterministic)


def may_have_kernels(tensor: Tensor) -> bool:
    """Whether a tensor is on a device with kernels, and neither traced nor compiled: PyTorch then needs its own."""
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[attr-defined,no-untyped-call]
        return False
    return tensor.device.type == "cuda" or (tensor.device.type == "cpu" and interpreted())


def interpreted() -> bool:
    """Whether Triton was asked to carry out its kernels on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"

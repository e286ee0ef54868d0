"""Imports timm, an optional dependency, when a network that takes its encoder from there is built, and not before."""

from importlib import import_module
from types import ModuleType

import torch
from torch.library import Library

_NAMESPACE = "torchvision"
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DECLARED: list[Library] = []  # what is declared lasts as long as the library object


def import_timm() -> ModuleType:
    """timm, with or without torchvision's compiled operators.

    timm imports torchvision. The wheels of torchvision on PyPI are built for CUDA; beside a CPU build of PyTorch their
    operators do not load, and importing them stops where the result of two is described. timm's networks use none, so
    these two are declared then, and the import is repeated.

    Raises:
        ImportError: says what to install.
    """
    try:
        return _import()
    except RuntimeError as error:
        if f"{_NAMESPACE}::" not in str(error):
            raise
    _declare_operators()
    return _import()


def _import() -> ModuleType:
    try:
        return import_module("timm")
    except ImportError as error:
        msg = (
            f"this network takes its encoder from timm, which cannot be imported ({error}); "
            "install it with: pip install 'medsegattention[maxvit]'"
        )
        raise ImportError(msg, name=error.name) from error


def _declare_operators() -> None:
    library = Library(_NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        if not hasattr(getattr(torch.ops, _NAMESPACE), name):
            library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    _DECLARED.append(library)

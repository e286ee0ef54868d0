"""Makes torchvision importable beside a PyTorch that it was not built for; nothing of ours uses its operators."""

from importlib import import_module

import torch
from torch.library import Library

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DECLARED: list[Library] = []  # what is declared lasts as long as the library object


def make_torchvision_importable() -> None:
    """Let libraries that import torchvision be imported.

    The wheels of torchvision that registries serve are built for CUDA; beside a CPU build of PyTorch their operators
    do not load, and importing stops where the shapes of two of them are described. These two are declared then.
    """
    try:
        import_module("torchvision")
    except ImportError:  # not there, which those libraries can do with or say themselves
        return
    except RuntimeError:
        if hasattr(torch.ops.torchvision, "nms"):  # then it is something else
            raise
        library = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
        _DECLARED.append(library)
        make_torchvision_importable()  # anything else that was wrong is raised now

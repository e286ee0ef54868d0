"""Imports timm, an optional dependency, when a network that takes its encoder from there is built, and not before."""

from importlib import import_module
from types import ModuleType

from medseg.networks.ops.torchvision_operators import make_torchvision_importable


def import_timm() -> ModuleType:
    """timm, with or without torchvision's compiled operators, which its networks do not use.

    Raises:
        ImportError: says what to install.
    """
    make_torchvision_importable()
    try:
        return import_module("timm")
    except ImportError as error:
        msg = f"this network takes its encoder from timm, which cannot be imported ({error}): "
        raise ImportError(msg + "pip install 'timm>=1.0'", name=error.name) from error

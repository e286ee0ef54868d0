"""Imports Lightning, which imports torchvision where there is one, fitting or not."""

import logging
import warnings

from medseg.networks.ops.torchvision_operators import make_torchvision_importable

try:
    import lightning
except RuntimeError:  # of a torchvision that was built for another PyTorch
    make_torchvision_importable()
    import lightning

__all__ = ["lightning"]


def quieten() -> None:
    """Let Lightning tell warnings only: it advertises, and repeats what is printed anyway."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Lightning 2.6 calls what PyTorch 2.13 deprecates; a user can do nothing about it
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)

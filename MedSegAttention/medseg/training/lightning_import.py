"""Imports Lightning, which imports torchvision where there is one, fitting or not."""

from medseg.networks.ops.torchvision_operators import make_torchvision_importable

try:
    import lightning
except RuntimeError:  # of a torchvision that was built for another PyTorch
    make_torchvision_importable()
    import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger

__all__ = ["CSVLogger", "Callback", "lightning"]

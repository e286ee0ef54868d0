"""Imports Lightning, which imports torchvision where there is one, fitting or not."""

from medseg.networks.ops.torchvision_operators import make_torchvision_importable

make_torchvision_importable()

import lightning  # noqa: E402 - after what it needs
from lightning.pytorch.callbacks import Callback  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402

__all__ = ["CSVLogger", "Callback", "lightning"]

"""Instance normalisation in the place of batch normalisation, under the same names.

Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", arXiv
1607.08022. Where images differ much in contrast, the statistics of the image itself are the only ones that mean
anything. They depend on how much of the body is seen: a network with them is asked about windows as large as its
training patches.
"""

from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from medseg.networks.ops.joint_norm import factor_and_shift, moments

Norm: TypeAlias = Literal["batch", "instance"]
"""What a network normalises by: statistics of the training set, or of the channel of each image alone."""


_ROWS_AT_ONCE = 4096  # that a processor's cache holds


class InstanceNorm(_InstanceNorm):
    """Normalise each channel of each image by itself, then scale and shift it; no running statistics.

    As ``nn.InstanceNorm3d(channels, affine=True)``, but for images of a single voxel, which PyTorch refuses: their
    spread is unknown, and they are scaled and shifted as they are.

    Shape:
        ``(B, C, *S)`` -> the same

    Args:
        channels: C.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the norm."""
        if x[0, 0].numel() == 1:
            return x * self.weight.view(-1, *[1] * (x.ndim - 2)) + self.bias.view(-1, *[1] * (x.ndim - 2))
        if x.is_contiguous() or not _channels_last(x):
            # PyTorch's own form of instance norm takes 1.4 times as long, and copies what lies channels last
            return F.group_norm(x, self.num_features, self.weight, self.bias, self.eps)
        if torch.is_grad_enabled():
            weights = self.weight, self.bias
            images = [F.batch_norm(x[n : n + 1], None, None, *weights, True, 0.0, self.eps) for n in range(len(x))]
            return images[0] if len(images) == 1 else torch.cat(images)
        result = torch.empty_like(x)
        for image, place in zip(x.movedim(1, -1), result.movedim(1, -1), strict=True):
            self._by_rows(image.flatten(0, -2), place.flatten(0, -2))
        return result

    def _by_rows(self, rows: Tensor, place: Tensor) -> None:
        """``(N, C)`` -> the same: batch norm adds a million float32 numbers up in a row here, and is 1e-4 off then."""
        parts = torch.split(rows, _ROWS_AT_ONCE)
        means, squares = zip(*map(moments, parts), strict=True)
        factor, shift = factor_and_shift(self, list(map(len, parts)), means, squares)
        torch.addcmul(shift, rows, factor, out=place)


class InstanceNormAct(InstanceNorm):
    """An ``InstanceNorm`` with an activation behind it, as timm's ``BatchNormAct2d``.

    Shape:
        ``(B, C, *S)`` -> the same
    """

    def __init__(self, channels: int, eps: float, act: nn.Module) -> None:
        super().__init__(channels, eps)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Run the norm and the activation."""
        result: Tensor = self.act(super().forward(x))
        return result


def choose_norm(network: nn.Module, norm: Norm) -> None:
    """Give a network that was just built the norms that were asked for, in place.

    For "instance" every batch norm with running statistics becomes an ``InstanceNorm`` with its weights and its name;
    the state dict is the same without the running statistics.

    Raises:
        ValueError: for another norm.
    """
    if norm not in get_args(Norm):
        msg = f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}"
        raise ValueError(msg)
    if norm == "batch":
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and child.track_running_stats:
                setattr(parent, name, _of_each_image(child))


def _of_each_image(norm: _BatchNorm) -> InstanceNorm:
    act: Any = getattr(norm, "act", None)  # of timm's kind
    channels = norm.num_features
    result = InstanceNorm(channels, norm.eps) if act is None else InstanceNormAct(channels, norm.eps, act)
    result.weight, result.bias = norm.weight, norm.bias
    return result.train(norm.training)


def _channels_last(x: Tensor) -> bool:
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.ndim in layouts and x.is_contiguous(memory_format=layouts[x.ndim])

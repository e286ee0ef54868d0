"""Normalisation of something too large to be held at once: exact statistics, joined part by part.

The parts' means and squared deviations are joined as in Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
Algorithm for Computing Sample Variances", 1979; autograd goes through them as through those of an ordinary norm.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared deviations of every channel; ``(B, C, ...)`` -> ``(C,)`` each, float32 or better."""
    values = x if x.dtype == torch.float64 else x.float()
    axes = [0, *range(2, x.ndim)]
    mean = values.mean(axes)
    return mean, (values - mean.view(-1, *[1] * (x.ndim - 2))).square().sum(axes)


def factor_and_shift(
    norm: _NormBase, counts: Sequence[int], means: Sequence[Tensor], squares: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """What a norm in training multiplies with and then adds, and its running statistics brought up to date.

    Args:
        norm: with weights; with running statistics or without.
        counts: numbers per channel in each part.
        means: of each part, from ``moments``.
        squares: of each part, from ``moments``.

    Returns:
        Two arrays (C,).
    """
    total = sum(counts)
    shares = means[0].new_tensor([count / total for count in counts])[:, None]
    part_means = torch.stack(list(means))
    mean = (shares * part_means).sum(0)
    between = total * (shares * (part_means - mean).square()).sum(0)
    variance = (torch.stack(list(squares)).sum(0) + between) / total
    _remember(norm, mean.detach(), variance.detach() * total / max(1, total - 1))
    factor = norm.weight * torch.rsqrt(variance + norm.eps)
    return factor, norm.bias - mean * factor


def _remember(norm: _NormBase, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    with torch.no_grad():
        norm.num_batches_tracked += 1
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
        norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)

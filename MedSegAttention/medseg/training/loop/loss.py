"""Dice and cross-entropy together, which ignore unlabelled voxels and unknown labels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.training.data.cases import IGNORE

_SMOOTH = 1e-5


class DiceCrossEntropy(nn.Module):
    """Sum of the soft Dice loss (labels without background, over the whole batch) and the mean cross-entropy.

    Where everything is labelled it equals MONAI's ``DiceCELoss(include_background=False, to_onehot_y=True,
    softmax=True, batch=True)``. Voxels of value ``IGNORE`` count in neither part. Labels that the expert of a case did
    not look for are taken together with the background, since "background" then means "none of those I looked for":
    the marginal loss of Shi et al., Medical Image Analysis 70 (2021) 101979, arXiv 2007.03868.

    Shape:
        logits ``(B, L, ...)``, labels ``(B, 1, ...)``, known ``(B, L)`` or None -> scalar
    """

    def forward(self, logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
        """Compute the loss in float32."""
        likely = F.log_softmax(logits.float(), dim=1)
        if known is not None and not bool(known.all()):
            likely = _merge_unknown(likely, known)
        else:
            known = None
        counted = (labels != IGNORE).float()
        target = torch.where(labels == IGNORE, 0, labels).long()
        crossed = -(likely.gather(1, target) * counted).sum() / counted.sum().clamp(min=1)
        return crossed + _dice_loss(likely.exp(), target, counted, known)


def _merge_unknown(likely: Tensor, known: Tensor) -> Tensor:
    """Add the probabilities of labels that are not known to the background's."""
    shape = (*known.shape, *[1] * (likely.ndim - 2))
    merged = ~known
    merged[:, 0] = True
    background = likely.masked_fill(~merged.view(shape), -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([background, likely[:, 1:]], dim=1)


def _dice_loss(share: Tensor, target: Tensor, counted: Tensor, known: Tensor | None) -> Tensor:
    hot = torch.zeros_like(share).scatter_(1, target, 1.0)[:, 1:] * counted
    found = share[:, 1:] * counted
    axes = (0, *range(2, share.ndim))
    if known is not None:
        weight = known[:, 1:].float().view(len(known), -1, *[1] * (share.ndim - 2))
        hot, found = hot * weight, found * weight
    both = (found * hot).sum(dim=axes)
    dice = 1 - (2 * both + _SMOOTH) / (found.sum(dim=axes) + hot.sum(dim=axes) + _SMOOTH)
    if known is None:
        return dice.mean()
    looked_for = known[:, 1:].any(dim=0).float()
    return (dice * looked_for).sum() / looked_for.sum().clamp(min=1)


def supervise(loss: nn.Module, outputs: Tensor | list[Tensor], labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean loss over the outputs, each weighted by its resolution along one axis.

    Shape:
        outputs ``(B, L, i, j, k)`` each, labels ``(B, 1, I, J, K)``, known ``(B, L)`` -> scalar; or all in 2D
    """
    levels = [outputs] if isinstance(outputs, Tensor) else outputs
    weights = [(level.shape[-1] / labels.shape[-1]) if n else 1.0 for n, level in enumerate(levels)]
    if len(levels) > 1:  # side outputs guide, the main output decides
        weights = [1.0, *(0.5 * weight for weight in weights[1:])]
    values = []
    for level, weight in zip(levels, weights, strict=True):
        target = labels.float()
        if level.shape[2:] != labels.shape[2:]:
            target = F.interpolate(target, size=level.shape[2:], mode="nearest-exact")
        values.append(weight * (loss(level, target) if known is None else loss(level, target, known)))
    total: Tensor = torch.stack(values).sum() / sum(weights)
    return total

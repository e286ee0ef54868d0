"""Whether two engines say the same: on noise, on a smooth image, and in the labels of real windows."""

import math

import torch
from torch import Tensor, nn

from medseg.imaging.measure import dice

# Measured: OpenVINO in float32 stays below 1e-6 of the logits' spread, PyTorch with folded norms too. A wrong operator
# or one that adds up carelessly lies above 1e-4.
LARGEST_MEAN_ERROR = 5e-5
LARGEST_ERROR = 5e-3
LEAST_DICE = 0.9995


def trial_windows(shape: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """Two windows (1, C, *S) on which engines are compared: white noise, and slow waves as in an image.

    Args:
        shape: ``(C, *S)`` of a window.
        device: where they are made.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *shape, generator=generator)
    waves = torch.zeros(shape)
    for axis, size in enumerate(shape[1:], start=1):
        turns = torch.linspace(0, math.pi * (axis + 1), size)
        waves = waves + torch.cos(turns + axis).view(-1, *[1] * (len(shape) - 1 - axis))
    channel = torch.arange(1, shape[0] + 1).view(-1, *[1] * (len(shape) - 1))
    return [noise.to(device), (waves * channel / shape[0])[None].to(device)]


def relative_errors(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """Root mean square and largest difference, as shares of the spread of ``expected``; infinite if not finite."""
    difference = found.float() - expected.float()
    if found.shape != expected.shape or not bool(torch.isfinite(difference).all()):
        return math.inf, math.inf
    spread = max(float(expected.float().std()), torch.finfo(torch.float32).tiny)
    return float(difference.square().mean().sqrt()) / spread, float(difference.abs().max()) / spread


def agrees(found: Tensor, expected: Tensor) -> bool:
    """Whether float32 logits are the same up to rounding."""
    if found.shape != expected.shape:
        return False
    mean, largest = relative_errors(found, expected)
    return mean <= LARGEST_MEAN_ERROR and largest <= LARGEST_ERROR


def least_dice(found: Tensor, expected: Tensor) -> float:
    """Smallest Dice over the classes of the labels that two sets of logits (B, L, *S) give; 0 if one is not finite."""
    if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
        return 0.0
    ours, theirs = found.argmax(1), expected.argmax(1)
    scores = [1.0]
    for label in torch.unique(torch.cat([ours.flatten(), theirs.flatten()])).tolist():
        one, other = ours == label, theirs == label
        scores.append(dice(int((one & other).sum()), int(one.sum()), int(other.sum())))
    return min(scores)


def plain_answers(network: nn.Module, windows: list[Tensor]) -> list[Tensor]:
    """What the network itself says in float32."""
    with torch.inference_mode():
        return [network(window) for window in windows]

"""How a test sees that a network learns: it trains until the network has, or the steps are over."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dice_of_two(network: nn.Module, images: Tensor, truth: Tensor) -> float:
    """Dice of label 1 in evaluation."""
    with torch.no_grad():
        found = network.eval()(images).argmax(1)
    return float(2 * (found * truth).sum() / (found.sum() + truth.sum()).clamp_min(1))


def learn_two_classes(network: nn.Module, images: Tensor, truth: Tensor, *, steps: int, rate: float) -> float:
    """Train with cross-entropy for at most so many steps; the Dice in evaluation at the end."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(network.train()(images), truth).backward()
        optimiser.step()

    return steps_until(step, lambda: dice_of_two(network, images, truth), steps)


def steps_until(step: Callable[[], None], score: Callable[[], float], steps: int, enough: float = 0.96) -> float:
    """Repeat a step until the score, looked at every tenth step, is enough; the last score."""
    found = 0.0
    for number in range(1, steps + 1):
        step()
        if number % 10 == 0 and (found := score()) > enough:
            break
    return found

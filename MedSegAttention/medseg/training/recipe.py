"""The training recipe: loss, optimiser, schedule and averaged weights, as one Lightning module."""

import copy
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.training.lightning_import import lightning


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of a training run."""

    learning_rate: float = 3e-3  # peak, AdamW
    weight_decay: float = 1e-2
    warm_up: float = 0.03  # part of the run
    ema_decay: float = 0.998  # of the averaged weights, per step
    clip_norm: float = 5.0
    batch: int = 2
    patch_shape: tuple[int, int, int] | None = None  # voxels; None: the manifest's window
    seed: int = 0


class Lesson(lightning.LightningModule):
    """Train a network; ``averaged`` holds the weights to keep (exponential moving average).

    The learning rate follows the elapsed part of the time limit (or of the steps, if there is no limit): warm-up, then
    half a cosine to zero, so that a run always ends with a finished schedule.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, *, seconds: float, steps: int) -> None:
        super().__init__()
        self.network = network
        # in a tuple, so that Lightning does not take it for a part that trains
        self._kept = (copy.deepcopy(network).eval().requires_grad_(requires_grad=False),)
        self.recipe = recipe
        self.seconds = seconds
        self.steps = steps
        self.started = math.nan
        self.loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights, in evaluation mode."""
        return self._kept[0]

    @property
    def elapsed(self) -> float:
        """Part of the run that is over, 0..1: of the time or of the steps, whichever ends first."""
        by_time = (time.monotonic() - self.started) / self.seconds
        return float(min(1.0, max(by_time, self.global_step / self.steps)))

    def on_train_start(self) -> None:
        """Start the clock; the averaged weights join the network on its device."""
        self.averaged.to(self.device)
        self.started = time.monotonic()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW without decay on biases and normalisation."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> int | None:  # noqa: ARG002
        """Set the learning rate; -1 ends the run when its time is over."""
        if self.elapsed >= 1:
            self.trainer.should_stop = True
            return -1
        rate = self.recipe.learning_rate * schedule(self.elapsed, self.recipe.warm_up)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        return None

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:  # noqa: ARG002
        """Loss of one batch, over all depths when the network returns several."""
        outputs = self.network(batch["image"])
        value = supervise(self.loss, outputs, batch["labels"])
        self.log("loss", value.detach(), prog_bar=True)
        return value

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the current ones."""
        decay = min(self.recipe.ema_decay, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            for kept, current in zip(_tensors(self.averaged), _tensors(self.network), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(current, 1 - decay)
                else:
                    kept.copy_(current)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """Each parameter and buffer once, also those of a part that several others share."""
    return itertools.chain(network.parameters(), network.buffers())


def schedule(elapsed: float, warm_up: float) -> float:
    """Factor of the learning rate at ``elapsed`` in 0..1: linear warm-up, then half a cosine down to 0."""
    if elapsed < warm_up:
        return (elapsed + 0.1 * warm_up) / (1.1 * warm_up)
    return 0.5 * (1 + math.cos(math.pi * (elapsed - warm_up) / (1 - warm_up)))


def supervise(loss: nn.Module, outputs: Tensor | list[Tensor], labels: Tensor) -> Tensor:
    """Mean loss over the outputs, each weighted by its resolution along one axis.

    Shape:
        outputs ``(B, L, i, j, k)`` each, labels ``(B, 1, I, J, K)`` -> scalar
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
        values.append(weight * loss(level, target))
    total: Tensor = torch.stack(values).sum() / sum(weights)
    return total

"""One run as a Lightning module: loss, optimiser, learning rate, averaged weights; it can begin in the middle."""

import copy
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from medseg.spec.errors import JobError
from medseg.training.data.augment_batch import BatchAugmentation
from medseg.training.loop.lightning_import import lightning
from medseg.training.loop.loss import DiceCrossEntropy, supervise
from medseg.training.loop.teacher import Teacher, TeacherLoss
from medseg.training.planning.recipe import Recipe

_MOST_SKIPPED = 20  # steps in a row whose loss is not finite
_SGD_MOMENTUM = 0.99  # nnU-Net's


@dataclass
class Progress:
    """Where a run is; what a checkpoint keeps besides weights."""

    step: int = 0  # steps done
    seconds: float = 0.0  # training has taken
    validated: int = 0  # times the averaged weights were scored
    best_dice: float = -1.0
    best_step: int = 0


class Watcher(Protocol):
    """Follows a run."""

    def after_step(self, lesson: "TrainingModule") -> None:
        """Do what is due between two steps."""

    def at_end(self, lesson: "TrainingModule") -> None:
        """Do what is left to do."""


class TrainingModule(lightning.LightningModule):
    """Train a network; ``averaged`` holds the weights to keep (exponential moving average).

    The learning rate follows the elapsed part of the steps, or of the time limit if that is further on, so that a run
    always ends with a finished schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        *,
        seconds: float = math.inf,
        case_count: int = 1,
        progress: Progress | None = None,
        optimiser_state: dict[str, Any] | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            network: changed in place.
            recipe: the numbers of the run.
            seconds: time limit.
            case_count: a pass over so many patches is an epoch, which some networks want to know.
            progress: where to go on; None: at the beginning.
            optimiser_state: of the same moment.
        """
        super().__init__()
        self.network = network
        # in a tuple, so that Lightning does not take it for a part that trains
        self._kept = (copy.deepcopy(network).eval().requires_grad_(requires_grad=False),)
        self.recipe = recipe
        self.seconds = seconds
        self.case_count = case_count
        self.progress = progress or Progress()
        self.optimiser_state = optimiser_state
        self.loss = DiceCrossEntropy()
        self.change: BatchAugmentation | None = None  # None: the patches were changed one by one
        self.teacher: Teacher | None = None
        self.teacher_loss = TeacherLoss()
        self.watch: Watcher | None = None
        self.last_loss = math.nan
        self._skipped = 0
        self._started = math.nan
        self._before = self.progress.seconds

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights, in evaluation mode."""
        return self._kept[0]

    @property
    def elapsed(self) -> float:
        """Part of the run that is over, 0..1: of the steps or of the time, whichever ends first."""
        return float(min(1.0, max(self.progress.seconds / self.seconds, self.progress.step / self.recipe.steps)))

    @property
    def epoch(self) -> int:
        """Passes over the cases that are over."""
        return self.progress.step * self.recipe.batch * self.trainer.world_size // self.case_count

    def on_train_start(self) -> None:
        """Start the clock; the averaged weights join the network on its device."""
        self.averaged.to(self.device)
        if self.teacher is not None:
            self.teacher.to(self.device)
        self._started = time.monotonic()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW or SGD without decay on biases and normalisation, as it was when the run was left."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        decay, rate = self.recipe.weight_decay, self.recipe.learning_rate
        groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
        # one pass over the weights; mixed precision clips the gradient in a way that does not go with it
        fused = self.device.type == "cpu" and self.trainer.precision == "32-true"
        optimiser: torch.optim.Optimizer = (
            torch.optim.AdamW(groups, lr=rate)
            if self.recipe.optimiser == "adamw"
            else torch.optim.SGD(groups, lr=rate, momentum=_SGD_MOMENTUM, nesterov=True)
        )
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
        for group in optimiser.param_groups:  # after loading: the state may come from another device
            group["fused"], group["foreach"] = fused, None
        for parameter, state in optimiser.state.items():
            for name, kept in state.items():
                if torch.is_tensor(kept) and kept.shape == parameter.shape:
                    # the fused step walks through memory, whatever the order of axes there
                    state[name] = torch.empty_like(parameter, dtype=kept.dtype).copy_(kept)
        return optimiser

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Change the patches at random, on the device and in full precision."""
        if self.change is None:
            return batch
        image, labels = self.change(batch["image"], batch["labels"], batch["number"].tolist())
        return {**batch, "image": image, "labels": labels}

    def on_train_batch_start(self, batch: Any, batch_index: int) -> int | None:  # noqa: ARG002
        """Set the learning rate and the seed of this step; -1 ends the run when its time is over."""
        self.progress.seconds = self._before + time.monotonic() - self._started
        if self.trainer.world_size > 1:  # all processes end at one step
            self.progress.seconds = self.trainer.strategy.broadcast(self.progress.seconds)
        if self.elapsed >= 1:
            self.trainer.should_stop = True
            return -1
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.recipe.rate(self.elapsed)
        torch.manual_seed(hash((self.recipe.seed, self.progress.step)) % 2**63)  # dropout, also after a restart
        if hasattr(self.network, "start_epoch"):
            self.network.start_epoch(self.epoch)  # type: ignore[operator]
        return None

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor | None:  # noqa: ARG002
        """Loss of one batch, over all depths when the network returns several; None skips a step that overflowed.

        Raises:
            JobError: when the loss has not been finite for a while.
        """
        outputs = self.network(batch["image"])
        value = supervise(self.loss, outputs, batch["labels"], batch.get("known"))
        if self.teacher is not None:
            share, answer = self.recipe.teacher_share, outputs if isinstance(outputs, Tensor) else outputs[0]
            value = (1 - share) * value + share * self.teacher_loss(answer, self.teacher(batch["image"]))
        self.last_loss = float(value.detach())
        if math.isfinite(self.last_loss):
            self._skipped = 0
            return value
        self._skipped += 1
        if self._skipped > _MOST_SKIPPED or self.trainer.world_size > 1:
            msg = (
                f"the loss is {self.last_loss} at step {self.progress.step}; lower the learning rate "
                "(--learning-rate) or choose --set training.precision=float32"
            )
            raise JobError(msg)
        return None

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the current ones."""
        self.progress.step += 1
        decay = min(self.recipe.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        pairs = list(zip(_tensors(self.averaged), _tensors(self.network), strict=True))
        with torch.no_grad():
            floats = [pair for pair in pairs if pair[0].is_floating_point()]
            get_ema_multi_avg_fn(decay)(*zip(*floats, strict=True), 0)  # type: ignore[no-untyped-call]
            for kept, current in pairs:
                if not kept.is_floating_point():
                    kept.copy_(current)
        if self.watch is not None:
            self.watch.after_step(self)

    def on_train_end(self) -> None:
        """Let the watcher finish while everything is still on its device."""
        if self.watch is not None:
            self.watch.at_end(self)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """Each parameter and buffer once, also those of a part that several others share."""
    return itertools.chain(network.parameters(), network.buffers())

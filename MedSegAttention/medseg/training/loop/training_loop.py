"""One run: loss, optimiser, learning rate, averaged weights, step after step; it can begin in the middle."""

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from medseg.spec.errors import JobError
from medseg.training.data.augment_batch import BatchAugmentation
from medseg.training.loop.checkpoint import Checkpoint, Progress
from medseg.training.loop.loss import DiceCrossEntropy, supervise
from medseg.training.loop.teacher import Teacher, TeacherLoss
from medseg.training.planning.plan import Recipe

_MOST_SKIPPED = 20  # steps in a row whose loss is not finite
_SGD_MOMENTUM = 0.99  # nnU-Net's


class TrainingLoop:
    """Trains ``network``; ``averaged`` holds the weights to keep (exponential moving average, evaluation mode).

    The learning rate follows the elapsed part of the steps, or of the time limit if that is further on, so that a run
    always ends with a finished schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        fabric: Fabric,
        *,
        seconds: float = math.inf,
        case_count: int = 1,
        resume: Checkpoint | None = None,
        teacher: Teacher | None = None,
        change: BatchAugmentation | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            network: changed in place.
            recipe: the numbers of the run.
            fabric: device, precision and processes.
            seconds: time limit.
            case_count: a pass over so many patches is an epoch, which some networks want to know.
            resume: where to go on; None: at the beginning.
            teacher: its answers make up ``recipe.teacher_share`` of the loss.
            change: changes batches at random; None: the patches were changed one by one.
        """
        self.network = network.to(fabric.device)
        self.averaged = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.recipe = recipe
        self.fabric = fabric
        self.seconds = seconds
        self.case_count = case_count
        self.progress = Progress() if resume is None else resume.progress
        self.change = change
        self.teacher = teacher
        self.last_loss = math.nan
        self._loss, self._teacher_loss, self._skipped = DiceCrossEntropy(), TeacherLoss(), 0
        if teacher is not None:
            teacher.to(fabric.device)
        if resume is not None:
            network.load_state_dict(resume.network)
            self.averaged.load_state_dict(resume.averaged)
            if resume.precision:
                fabric.strategy.precision.load_state_dict(resume.precision)
        self.optimiser = self._make_optimiser(resume)
        self._forward, self._stepper = fabric.setup(network, self.optimiser)

    @property
    def elapsed(self) -> float:
        """Part of the run that is over, 0..1: of the steps or of the time, whichever ends first."""
        return float(min(1.0, max(self.progress.seconds / self.seconds, self.progress.step / self.recipe.steps)))

    @property
    def epoch(self) -> int:
        """Passes over the cases that are over."""
        return int(self.progress.step * self.recipe.batch * self.fabric.world_size // self.case_count)

    def state(self) -> Checkpoint:
        """What the run needs to go on from here."""
        return Checkpoint(
            self.progress,
            self.network.state_dict(),
            self.averaged.state_dict(),
            self.optimiser.state_dict(),
            self.fabric.strategy.precision.state_dict(),
        )

    def run(self, batches: Iterable[dict[str, Tensor]], after_step: Callable[["TrainingLoop"], None] | None) -> None:
        """Take a step on each batch, until they or the time are over.

        Raises:
            JobError: when the loss does not stay finite.
        """
        begun = time.monotonic() - self.progress.seconds
        for batch in batches:
            self.progress.seconds = self.fabric.broadcast(time.monotonic() - begun)  # all processes end at one step
            if self.elapsed >= 1:
                break
            self.step(batch)
            if after_step is not None:
                after_step(self)

    def step(self, batch: dict[str, Tensor]) -> None:
        """Learn from one batch: ``image``, ``labels``, ``number`` and perhaps ``known``, as patches have them.

        A step whose loss is not finite, because half precision overflowed, changes no weight.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.elapsed)
        torch.manual_seed(hash((self.recipe.seed, self.progress.step)) % 2**63)  # dropout, also after a restart
        if hasattr(self.network, "start_epoch"):
            self.network.start_epoch(self.epoch)  # type: ignore[operator]
        batch = self.fabric.to_device(batch)
        if self.change is not None:  # on the device and in full precision
            image, labels = self.change(batch["image"], batch["labels"], batch["number"].tolist())
            batch = {**batch, "image": image, "labels": labels}
        loss = self.loss(batch)
        if loss is not None:
            self._stepper.zero_grad()
            self.fabric.backward(loss)
            clip = self.recipe.clip_norm
            self.fabric.clip_gradients(self._forward, self._stepper, max_norm=clip, error_if_nonfinite=False)
            self._stepper.step()
        self.progress.step += 1
        self.average()

    def loss(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Loss of one batch, over all depths when the network returns several; None when it is not finite.

        Raises:
            JobError: when it has not been finite for a while.
        """
        with self.fabric.autocast():
            outputs = self._forward(batch["image"])
            value = supervise(self._loss, outputs, batch["labels"], batch.get("known"))
            if self.teacher is not None:
                share, answer = self.recipe.teacher_share, outputs if isinstance(outputs, Tensor) else outputs[0]
                value = (1 - share) * value + share * self._teacher_loss(answer, self.teacher(batch["image"]))
        self.last_loss = float(value.detach())
        if math.isfinite(self.last_loss):
            self._skipped = 0
            return value
        self._skipped += 1
        if self._skipped > _MOST_SKIPPED or self.fabric.world_size > 1:
            msg = (
                f"the loss is {self.last_loss} at step {self.progress.step}; lower the learning rate "
                "(--learning-rate) or choose --set training.precision=float32"
            )
            raise JobError(msg)
        return None

    def average(self) -> None:
        """Move the averaged weights towards the current ones."""
        decay = min(self.recipe.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        pairs = list(zip(_tensors(self.averaged), _tensors(self.network), strict=True))
        with torch.no_grad():
            floats = [pair for pair in pairs if pair[0].is_floating_point()]
            get_ema_multi_avg_fn(decay)(*zip(*floats, strict=True), 0)  # type: ignore[no-untyped-call]
            for kept, current in pairs:
                if not kept.is_floating_point():
                    kept.copy_(current)

    def _make_optimiser(self, resume: Checkpoint | None) -> torch.optim.Optimizer:
        """AdamW or SGD without decay on biases and normalisation, as it was when the run was left."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        decay, rate = self.recipe.weight_decay, self.recipe.learning_rate
        groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
        optimiser: torch.optim.Optimizer = (
            torch.optim.AdamW(groups, lr=rate)
            if self.recipe.optimiser == "adamw"
            else torch.optim.SGD(groups, lr=rate, momentum=_SGD_MOMENTUM, nesterov=True)
        )
        if resume is not None:
            optimiser.load_state_dict(resume.optimiser)
        # one pass over the weights; mixed precision clips the gradient in a way that does not go with it
        fused = self.fabric.device.type == "cpu" and self.fabric.strategy.precision.precision == "32-true"
        for group in optimiser.param_groups:  # after loading: the state may come from another device
            group["fused"], group["foreach"] = fused, None
        for parameter, state in optimiser.state.items():
            for name, kept in state.items():
                if torch.is_tensor(kept) and kept.shape == parameter.shape:
                    # the fused step walks through memory, whatever the order of axes there
                    state[name] = torch.empty_like(parameter, dtype=kept.dtype).copy_(kept)
        return optimiser


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """Each parameter and buffer once, also those of a part that several others share."""
    return itertools.chain(network.parameters(), network.buffers())

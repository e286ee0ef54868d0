"""Run the training loop: Lightning over randomly changed patches, until the time or the steps are over."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from monai.data import DataLoader
from monai.transforms import Compose
from torch import nn
from torch.utils.data import Dataset

from medseg.training.cases import Case
from medseg.training.fast_depthwise import accelerate
from medseg.training.lightning_import import Callback, CSVLogger, lightning
from medseg.training.recipe import Lesson, Recipe


class Patches(Dataset[dict[str, torch.Tensor]]):
    """A case at random changes every time it is asked for."""

    def __init__(self, cases: Sequence[Case], change: Compose) -> None:
        self.cases = cases
        self.change = change

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """One patch: ``image`` (C, i, j, k), ``labels`` (1, i, j, k)."""
        case = self.cases[index]
        patch: dict[str, torch.Tensor] = self.change({"image": case.image, "labels": case.labels})
        return patch


class KeepAveraged(Callback):
    """Hand the averaged network to ``keep`` now and then, so that a long run can be looked at and is never lost."""

    def __init__(self, keep: Callable[[nn.Module, float], None], every: float) -> None:
        self.keep = keep
        self.every = every  # part of the run, 0..1
        self.due = every

    def on_train_batch_end(self, _: lightning.Trainer, lesson: lightning.LightningModule, *__: object) -> None:
        """Keep the weights when it is time."""
        if isinstance(lesson, Lesson) and lesson.elapsed >= self.due:
            self.keep(lesson.averaged, lesson.elapsed)
            self.due += self.every


def fit(
    network: nn.Module,
    cases: Sequence[Case],
    change: Compose,
    recipe: Recipe,
    *,
    seconds: float,
    steps: int,
    log_folder: Path,
    callbacks: Sequence[Callback] = (),
    workers: int = 1,
) -> nn.Module:
    """Train on patches of ``cases`` and return the averaged network in evaluation mode.

    Args:
        network: changed in place.
        cases: the training cases, prepared.
        change: from a case to one patch, see :func:`medseg.training.augment.augmentation`.
        recipe: the numbers of the run.
        seconds: the run ends, with a finished schedule, after this time.
        steps: or after this many steps, whichever comes first.
        log_folder: where the loss is written as CSV.
        callbacks: Lightning callbacks.
        workers: processes that prepare patches.
    """
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    change.set_random_state(recipe.seed)
    loader = DataLoader(
        Patches(cases, change),
        batch_size=min(recipe.batch, len(cases)),
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    # depthwise 3D convolutions are several times faster in this layout
    network.train().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    lesson = Lesson(network, recipe, seconds=seconds, steps=steps)
    accelerate(network)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=recipe.clip_norm,
        logger=CSVLogger(log_folder, name=None),
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(lesson, loader)
    return lesson.averaged.eval()

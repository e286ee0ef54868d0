"""Run the training loop: Lightning over randomly changed patches, until the steps or the time are over."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from medseg.kernels.cpp.fast_depthwise import accelerate
from medseg.kernels.cpp.fast_mkir import accelerate_blocks
from medseg.spec.manifest import IntTriple, SliceRule
from medseg.training.data.augment import augmentation
from medseg.training.data.augment_batch import BatchAugmentation
from medseg.training.data.augment_ranges import Ranges
from medseg.training.data.cases import Case
from medseg.training.data.patches import Patches, Steps
from medseg.training.loop.checkpoint import Checkpoint
from medseg.training.loop.lightning_import import lightning, quieten
from medseg.training.loop.processes import Processes
from medseg.training.loop.teacher import Teacher
from medseg.training.loop.training_module import TrainingModule, Watcher
from medseg.training.planning.recipe import Recipe

_PRECISIONS: Mapping[str, str] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
_HALVES_FROM = (7, 0)  # compute capability of the first cards that are faster in float16


def fit(
    network: nn.Module,
    cases: Sequence[Case],
    ranges: Ranges,
    recipe: Recipe,
    *,
    patch_shape: IntTriple,
    slices: SliceRule | None = None,
    seconds: float = math.inf,
    resume: Checkpoint | None = None,
    workers: int = 1,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a value
    processes: Processes = Processes(),  # noqa: B008 - frozen
    watch: Watcher | None = None,
    teacher: Teacher | None = None,
) -> TrainingModule:
    """Train on patches of ``cases``; the lesson that comes back holds the averaged network.

    On a processor, with one number of threads, the same recipe gives the same weights, however often the run was
    resumed and however many processes prepare patches. On a graphics card some operators add in any order: the run sees
    the same patches, but rounding differs.

    Args:
        network: changed in place.
        cases: the training cases, prepared.
        ranges: how often and how far patches are changed at random.
        recipe: the numbers of the run.
        patch_shape: voxels of a patch.
        slices: how a 2D network reads a volume.
        seconds: the run ends, with a finished schedule, after this time, whichever comes first.
        resume: where to go on.
        workers: processes that prepare patches; 0 prepares them in this one.
        device: where to train.
        processes: of a run on several devices.
        watch: follows the run, in the first process.
        teacher: its answers make up ``recipe.teacher_share`` of the loss.

    Raises:
        KeyboardInterrupt: when the user interrupts.
        JobError: when the loss does not stay finite.
    """
    progress = resume.progress if resume else None
    first = progress.step if progress else 0
    _lay_out(network.train(), device)
    state = None if resume is None else resume.optimiser
    lesson = TrainingModule(
        network, recipe, seconds=seconds, case_count=len(cases), progress=progress, optimiser_state=state
    )
    if resume is not None:
        network.load_state_dict(resume.network)
        lesson.averaged.load_state_dict(resume.averaged)
    lesson.teacher = teacher
    lesson.watch = watch if processes.rank == 0 else None
    if first >= recipe.steps:
        return lesson
    in_batch = changes_batches(recipe.augment_on, device)
    lesson.change = BatchAugmentation(ranges, recipe.seed) if in_batch else None
    change = None if in_batch else augmentation(ranges)
    patches = Patches(cases, change, patch_shape, slices=slices, foreground=recipe.foreground, seed=recipe.seed)
    steps = Steps(first, recipe.steps, recipe.batch, rank=processes.rank, world=processes.world)
    loader: DataLoader[Any] = DataLoader(
        patches, batch_sampler=steps, num_workers=workers, pin_memory=device.type == "cuda"
    )
    trainer = _trainer(recipe, device, processes, changing=hasattr(network, "start_epoch"))
    if resume is not None and resume.precision:
        trainer.precision_plugin.load_state_dict(resume.precision)
    _train(trainer, lesson, loader)
    return lesson


def _train(trainer: lightning.Trainer, lesson: TrainingModule, loader: DataLoader[Any]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'train_dataloader' does not have many workers")
        try:
            trainer.fit(lesson, loader)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error


def _trainer(recipe: Recipe, device: torch.device, processes: Processes, *, changing: bool) -> lightning.Trainer:
    """Lightning's trainer; ``changing`` says that weights may stop or begin to learn on the way."""
    single = processes.world == 1
    if device.type == "cuda":
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    index = [device.index or 0] if device.type == "cuda" else 1
    quieten()
    return lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=index if single else processes.per_node,
        num_nodes=processes.nodes,
        strategy="auto" if single else "ddp_find_unused_parameters_true" if changing else "ddp",
        precision=_PRECISIONS[choose_precision(recipe.precision, device)],  # type: ignore[arg-type]
        max_epochs=1,
        gradient_clip_val=recipe.clip_norm,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def changes_batches(wanted: str, device: torch.device) -> bool:
    """Whether random changes are made to whole batches on the device rather than to patches on the way there.

    On a processor both cost little beside a step (2 patches of 32 x 48 x 32: 10 ms together, 25 ms one by one), and
    patches are prepared by other processes meanwhile, with the sharper interpolation.
    """
    return wanted == "batch" or (wanted == "auto" and device.type == "cuda")


def choose_precision(wanted: str, device: torch.device) -> str:
    """Half precision where it is safe and faster: bfloat16, else float16 with a scaled loss, on CUDA cards only."""
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "float32"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "float16" if torch.cuda.get_device_capability(device) >= _HALVES_FROM else "float32"


def _lay_out(network: nn.Module, device: torch.device) -> None:
    """On a processor, networks of depthwise 3D convolutions train several times faster channels last."""
    if device.type != "cpu":
        return
    deep = [part for part in network.modules() if isinstance(part, nn.Conv3d)]
    depthwise = [part for part in deep if part.groups == part.in_channels > 1 and part.dilation == (1, 1, 1)]
    if 3 * len(depthwise) >= len(deep) > 0:
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    accelerate(network)
    accelerate_blocks(network)

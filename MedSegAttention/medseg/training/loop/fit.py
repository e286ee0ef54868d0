"""Run the training loop over randomly changed patches, until the steps or the time are over."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from medseg.kernels.cpp.fast_depthwise import accelerate
from medseg.kernels.cpp.fast_mkir import accelerate_blocks
from medseg.training.data.augment import augmentation, ranges_for
from medseg.training.data.augment_batch import BatchAugmentation
from medseg.training.data.cases import Case
from medseg.training.data.patches import Patches, Steps
from medseg.training.data.synthetic import SyntheticImages
from medseg.training.loop.checkpoint import Checkpoint
from medseg.training.loop.processes import Processes
from medseg.training.loop.teacher import Teacher
from medseg.training.loop.training_loop import TrainingLoop
from medseg.training.loop.watch import Watch
from medseg.training.planning.plan import Plan

_PRECISIONS: Mapping[str, str] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
_HALVES_FROM = (7, 0)  # compute capability of the first cards that are faster in float16


def fit(
    network: nn.Module,
    cases: Sequence[Case] | SyntheticImages,
    plan: Plan,
    *,
    seconds: float = math.inf,
    resume: Checkpoint | None = None,
    workers: int = 1,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a value
    processes: Processes = Processes(),  # noqa: B008 - frozen
    watch: Watch | None = None,
    teacher: Teacher | None = None,
) -> TrainingLoop:
    """Train on patches of ``cases``; the loop that comes back holds the averaged network.

    On a processor, with one number of threads, the same plan gives the same weights, however often the run was
    resumed and however many processes prepare patches. On a graphics card some operators add in any order: the run sees
    the same patches, but rounding differs.

    Args:
        network: changed in place.
        cases: the training cases, prepared; or images that are drawn from label maps, with whatever is random.
        plan: the model to be and the numbers of the run.
        seconds: the run ends, with a finished schedule, after this time, whichever comes first.
        resume: where to go on.
        workers: processes that prepare patches; 0 prepares them in this one.
        device: where to train.
        processes: of a run on several devices.
        watch: follows the run; None in all but the first of several processes.
        teacher: its answers make up ``training.teacher_share`` of the loss.

    Raises:
        KeyboardInterrupt: when the user interrupts.
        JobError: when the loss does not stay finite.
    """
    drawn = isinstance(cases, SyntheticImages)
    looked_for = () if isinstance(cases, SyntheticImages) else (case.known for case in cases)
    recipe, ranges = plan.training, ranges_for(plan.model, looked_for)
    _lay_out(network.train(), device)
    in_batch = not drawn and changes_batches(recipe.augment_on, device)
    patches: Dataset[dict[str, Tensor]] = (
        cases
        if isinstance(cases, SyntheticImages)
        else Patches(
            cases,
            None if in_batch else augmentation(ranges),
            plan.patch_shape,
            slices=plan.model.slices,
            foreground=recipe.foreground,
            seed=recipe.seed,
        )
    )
    loop = TrainingLoop(
        network,
        recipe,
        _fabric(
            choose_precision(recipe.precision, device), device, processes, changing=hasattr(network, "start_epoch")
        ),
        seconds=seconds,
        case_count=len(cases.maps if isinstance(cases, SyntheticImages) else cases),
        resume=resume,
        teacher=teacher,
        change=BatchAugmentation(ranges, recipe.seed) if in_batch else None,
    )
    first = loop.progress.step
    if first >= recipe.steps:
        return loop
    steps = Steps(first, recipe.steps, recipe.batch, rank=processes.rank, world=processes.world)
    on_card = device.type == "cuda"
    if drawn and on_card:
        workers = 0  # images are drawn where the maps are
    batches: DataLoader[Any] = DataLoader(
        patches, batch_sampler=steps, num_workers=workers, pin_memory=on_card and not drawn
    )
    loop.run(batches, watch.after_step if watch else None)
    if watch is not None:
        watch.at_end(loop)
    return loop


def _fabric(precision: str, device: torch.device, processes: Processes, changing: bool) -> Fabric:
    """Device, precision and processes; ``changing`` says that weights may stop or begin to learn on the way."""
    single = processes.world == 1
    if device.type == "cuda":
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says besides is printed anyway
    fabric = Fabric(
        accelerator=device.type,
        devices=([device.index or 0] if device.type == "cuda" else 1) if single else processes.per_node,
        num_nodes=processes.nodes,
        strategy="auto" if single else "ddp_find_unused_parameters_true" if changing else "ddp",
        precision=_PRECISIONS[precision],
    )
    fabric.launch()
    return fabric


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

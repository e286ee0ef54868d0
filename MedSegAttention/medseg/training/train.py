"""From labelled cases to a bundle: a run that survives kills and ends with the best weights it saw."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_weights
from medseg.bundles.write import write_bundle
from medseg.io.atomic import replacing
from medseg.io.dataset import CaseFiles
from medseg.spec.errors import JobError, OutputExists
from medseg.training.data.augment_ranges import ranges_for
from medseg.training.data.cases import Case, load_cases
from medseg.training.loop.checkpoint import NAME, Checkpoint, load_checkpoint
from medseg.training.loop.fit import fit
from medseg.training.loop.initial import start_from
from medseg.training.loop.lightning_import import lightning
from medseg.training.loop.processes import Processes, running_processes
from medseg.training.loop.run_lock import LOCK, alone_in
from medseg.training.loop.teacher import open_teacher
from medseg.training.loop.training_module import TrainingModule
from medseg.training.loop.watch import BEST, CURVES, LOG, Status, Watch
from medseg.training.planning.folds import Fold
from medseg.training.planning.memory import memory_at_hand_mb
from medseg.training.planning.plan import Plan, read_plan, write_plan
from medseg.training.planning.side_heads import build_for_training, storable, without_side_heads

PLAN, FOLDS = "plan.json", "folds.json"
_IN_MEMORY = 0.3  # of what is free; more is read from disk
_WORTH_KEEPING = (PLAN, FOLDS, LOG, CURVES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is carried out; nothing here changes what it computes, but for the time limit."""

    seconds: float = math.inf
    licence_text: str = ""
    workers: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    restart: bool = False  # forget an unfinished run
    checkpoint_seconds: float = 60.0
    on_status: Callable[[Status], None] = lambda _: None
    on_note: Callable[[str], None] = lambda _: None


def run_folder(output: Path) -> Path:
    """Where the plan, the log, the curves and the checkpoint of a bundle's training lie."""
    return output.parent / f"{output.name}-training"


def train(
    files: Sequence[CaseFiles],
    plan: Plan,
    output: Path,
    *,
    validation: Sequence[CaseFiles] = (),
    start: Bundle | None = None,
    settings: Settings = Settings(),
) -> Bundle | None:
    """Train the plan's network and write the bundle.

    An unfinished run of the same plan and cases in ``run_folder(output)`` is continued.

    Args:
        files: the training cases; one that cannot be used is left out and named.
        plan: what to train and how.
        output: folder of the bundle; it must not exist yet.
        validation: cases to score now and then; the weights that score best are kept. None: the last ones.
        start: a bundle whose weights are the beginning.
        settings: how to carry it out.

    Returns:
        The bundle; None in the other processes of a run on several devices.

    Raises:
        OutputExists: if the output folder exists.
        JobError: if an unfinished run of another plan is in the way, another training is running there, or no case
            can be used, or a teacher does not fit.
    """
    if output.exists():
        msg = f"{output} exists and is kept; name another output folder or remove it first"
        raise OutputExists(msg)
    processes = running_processes()
    with alone_in(run_folder(output)) if processes.rank == 0 else nullcontext():
        return _train(files, plan, output, validation, start, settings, processes)


def _train(
    files: Sequence[CaseFiles],
    plan: Plan,
    output: Path,
    validation: Sequence[CaseFiles],
    start: Bundle | None,
    settings: Settings,
    processes: Processes,
) -> Bundle | None:
    folder = run_folder(output)
    teacher = open_teacher(plan.training.teachers, plan.model)
    resume = _prepare_folder(folder, plan, files, validation, settings) if processes.rank == 0 else None
    if processes.rank and not settings.restart and (folder / NAME).is_file():
        resume = load_checkpoint(folder / NAME)
    cases = _load(files, plan, folder, settings)
    held_out = _load(validation[: plan.training.validation_cases], plan, folder, settings) if validation else []
    lightning.seed_everything(plan.training.seed, workers=False, verbose=False)
    network = build_for_training(plan.model, deep_supervision=plan.training.deep_supervision)
    if start is not None and resume is None:
        for note in start_from(network, plan.model, start):
            settings.on_note(note)
    watch = _watch(folder, plan, held_out, resume, settings) if processes.rank == 0 else None
    lesson = fit(
        network,
        cases,
        ranges_for(plan.model),
        plan.training,
        patch_shape=plan.patch_shape,
        slices=plan.model.slices,
        seconds=settings.seconds,
        resume=resume,
        workers=settings.workers,
        device=settings.device,
        processes=processes,
        watch=watch,
        teacher=teacher,
    )
    if watch is None:
        return None
    return _write(output, folder, plan, lesson, settings)


def _write(output: Path, folder: Path, plan: Plan, lesson: TrainingModule, settings: Settings) -> Bundle:
    progress, averaged = lesson.progress, lesson.averaged
    if progress.best_dice >= 0 and progress.best_step != progress.step:
        averaged = load_weights(averaged, folder / BEST)
        settings.on_note(f"the weights of step {progress.best_step} scored best and are kept")
    model = dataclasses.replace(plan.model, scores=(), timings=(), arguments=storable(plan.model))
    bundle = write_bundle(output, model, without_side_heads(averaged, model), licence_text=settings.licence_text)
    kept = output / "docs" / "training"
    kept.mkdir(exist_ok=True)
    for name in _WORTH_KEEPING:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, kept / name)
    return bundle


def _prepare_folder(
    folder: Path, plan: Plan, files: Sequence[CaseFiles], validation: Sequence[CaseFiles], settings: Settings
) -> Checkpoint | None:
    """Find an unfinished run to continue, or begin one."""
    if settings.restart:
        _empty(folder)
    names = [{"train": [each.name for each in files], "val": [each.name for each in validation]}]
    if (folder / NAME).is_file():
        _require_same(folder, plan, names)
        resume = load_checkpoint(folder / NAME)
        settings.on_note(f"going on from step {resume.progress.step} of the run in {folder}")
        return resume
    write_plan(plan, folder / PLAN)
    with replacing(folder / FOLDS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    return None


def _empty(folder: Path) -> None:
    """Remove an unfinished run; its lock is held and stays."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _require_same(folder: Path, plan: Plan, names: list[Fold]) -> None:
    other = read_plan(folder / PLAN)
    different = [
        f"{part}.{field.name}"
        for part in ("model", "training")
        for field in dataclasses.fields(getattr(plan, part))
        if _plain(getattr(getattr(plan, part), field.name)) != _plain(getattr(getattr(other, part), field.name))
    ]
    if json.loads((folder / FOLDS).read_text(encoding="utf-8")) != names:
        different.append("the list of cases")
    if different:
        msg = (
            f"{folder} holds an unfinished run that differs in {', '.join(different)}; repeat its command, use "
            f"--plan {folder / PLAN}, or begin again with --restart"
        )
        raise JobError(msg)


def _plain(value: object) -> str:
    """A value as the file has it, where tuples are lists."""
    return json.dumps(value, default=lambda each: dataclasses.asdict(each), sort_keys=True)


def _load(files: Sequence[CaseFiles], plan: Plan, folder: Path, settings: Settings) -> list[Case]:
    """In memory, or on disk when all cases would take too much of it."""
    first = _first_usable(files, plan)
    needed_mb = len(files) * sum(case.image.nbytes + case.labels.nbytes for case in first) / 2**20
    keep = folder / "cases" if needed_mb > _IN_MEMORY * memory_at_hand_mb(torch.device("cpu")) else None
    if keep is not None:
        settings.on_note(f"{len(files)} cases take about {needed_mb:.0f} MiB and are read from {keep}")
    return load_cases(files, plan.model, keep, on_problem=lambda text: settings.on_note(f"left out: {text}"))


def _first_usable(files: Sequence[CaseFiles], plan: Plan) -> list[Case]:
    for each in files:
        try:
            return load_cases([each], plan.model)
        except JobError:
            continue
    return []


def _watch(folder: Path, plan: Plan, held_out: Sequence[Case], resume: Checkpoint | None, settings: Settings) -> Watch:
    return Watch(
        folder,
        plan.model,
        held_out,
        resume_at=resume.progress.step if resume else 0,
        checkpoint_seconds=settings.checkpoint_seconds,
        on_status=settings.on_status,
    )

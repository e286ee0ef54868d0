"""From labelled cases to a bundle: a run that survives kills and ends with the best weights it saw."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import torch
from filelock import FileLock, Timeout

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.bundles.weights import load_weights
from medseg.bundles.write import write_bundle
from medseg.io.atomic import replacing
from medseg.io.dataset import CaseFiles
from medseg.spec.errors import JobError, OutputExists
from medseg.spec.events import Learning, Noted, Warned
from medseg.training.data.cases import Case, load_cases
from medseg.training.data.label_maps import LabelMap, load_label_maps
from medseg.training.data.synthetic import SyntheticImages, held_out_cases
from medseg.training.loop.checkpoint import NAME, Checkpoint, load_checkpoint
from medseg.training.loop.fit import fit
from medseg.training.loop.initial import start_from
from medseg.training.loop.processes import running_processes, training_device
from medseg.training.loop.teacher import open_teacher
from medseg.training.loop.training_loop import TrainingLoop
from medseg.training.loop.watch import BEST, CURVES, LOG, Watch
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.folds import Fold
from medseg.training.planning.helpers import folded
from medseg.training.planning.memory import memory_at_hand_mb
from medseg.training.planning.plan import Plan, override, read_plan, write_plan
from medseg.training.planning.side_heads import build_for_training, storable, without_side_heads
from medseg.training.planning.synthesis import Synthesis

PLAN, FOLDS = "plan.json", "folds.json"
OnNote: TypeAlias = Callable[[Noted | Warned], None]
_LOCK = ".lock"
_IN_MEMORY = 0.3  # of what is free; more is read from disk
_MOST_WORKERS = 8
_WORTH_KEEPING = (PLAN, FOLDS, LOG, CURVES)


def run_folder(output: Path) -> Path:
    """Where the plan, the log, the curves and the checkpoint of a bundle's training lie."""
    return output.parent / f"{output.name}-training"


def train(
    config: TrainingConfig,
    plan: Plan,
    files: Sequence[CaseFiles],
    validation: Sequence[CaseFiles] = (),
    *,
    on_note: OnNote = lambda _: None,
    on_progress: Callable[[Learning], None] = lambda _: None,
) -> Bundle | None:
    """Train the plan's network and write the bundle.

    An unfinished run of the same plan and cases in ``run_folder(config.output)`` is continued.

    Args:
        config: where the bundle goes, what it begins with, and how the run is carried out. What the plan says is not
            read from here.
        plan: what to train and how.
        files: the training cases; one that cannot be used is left out and named.
        validation: cases to score now and then; the weights that score best are kept. None: the last ones.
        on_note: hears what a user should know.
        on_progress: hears about progress.

    Returns:
        The bundle; None in the other processes of a run on several devices.

    Raises:
        OutputExists: if the output folder exists.
        JobError: if an unfinished run of another plan is in the way, another training is running there, or no case
            can be used, or a teacher does not fit, or there is no such device.
    """
    if config.output.exists():
        msg = f"{config.output} exists and is kept; name another output folder or remove it first"
        raise OutputExists(msg)
    folder, processes, device = run_folder(config.output), running_processes(), training_device(config.device)
    licence = f"{plan.model.licence}\n" if config.licence is None else config.licence.read_text(encoding="utf-8")
    with alone_in(folder, needed=processes.rank == 0):
        teacher = open_teacher(plan.training.teachers, plan.model)
        resume = _prepare_folder(config, plan, files, validation, on_note) if processes.rank == 0 else None
        if processes.rank and not config.restart and (folder / NAME).is_file():
            resume = load_checkpoint(folder / NAME)
        scored = validation[: plan.training.validation_cases]
        cases: Sequence[Case] | SyntheticImages
        held_out: Sequence[Case] = []
        if plan.training.synthesis is None:
            cases = _load(files, plan, folder, on_note)
            held_out = _load(scored, plan, folder, on_note) if scored else []
        else:
            cases, held_out = _label_maps(files, scored, plan, plan.training.synthesis, device, on_note)
        torch.manual_seed(plan.training.seed)
        network = build_for_training(plan.model, deep_supervision=plan.training.deep_supervision)
        if config.start is not None and resume is None:
            for note in start_from(network, plan.model, open_bundle(config.start)):
                on_note(Noted(note))
        step = resume.progress.step if resume else 0
        writing = (folder, plan.model, held_out)
        watch = None
        if processes.rank == 0:
            watch = Watch(
                *writing, resume_at=step, checkpoint_seconds=config.checkpoint_seconds, on_progress=on_progress
            )
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        loop = fit(
            network,
            cases,
            plan,
            seconds=config.seconds,
            resume=resume,
            workers=min(_MOST_WORKERS, max(1, cores - 1)) if config.workers is None else config.workers,
            device=device,
            processes=processes,
            watch=watch,
            teacher=teacher,
        )
        return None if watch is None else _write(config.output, plan, loop, licence, on_note)


@contextmanager
def alone_in(folder: Path, *, needed: bool = True) -> Iterator[None]:
    """Keep other trainings out of a run's folder: two that write one checkpoint would continue each other's weights.

    The system lets go of it even after a kill.

    Args:
        folder: made where it is missing.
        needed: False does nothing, in processes that do not write.

    Raises:
        JobError: when another training is in it.
    """
    if not needed:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"another training is writing to {folder}; wait for it, stop it, or name another output"
        raise JobError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _write(output: Path, plan: Plan, loop: TrainingLoop, licence: str, on_note: OnNote) -> Bundle:
    progress, averaged, folder = loop.progress, loop.averaged, run_folder(output)
    if progress.best_dice >= 0 and progress.best_step != progress.step:
        averaged = load_weights(averaged, folder / BEST)
        on_note(Noted(f"the weights of step {progress.best_step} scored best and are kept"))
    model = dataclasses.replace(plan.model, scores=(), timings=(), imported=None, arguments=storable(plan.model))
    helpers = () if plan.training.synthesis is None else plan.training.synthesis.helpers
    stored, network = folded(model, without_side_heads(averaged, model), helpers)
    bundle = write_bundle(output, stored, network, licence_text=licence)
    kept = output / "docs" / "training"
    kept.mkdir(exist_ok=True)
    for name in _WORTH_KEEPING:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, kept / name)
    return bundle


def _prepare_folder(
    config: TrainingConfig, plan: Plan, files: Sequence[CaseFiles], validation: Sequence[CaseFiles], on_note: OnNote
) -> Checkpoint | None:
    """Find an unfinished run to continue, or begin one."""
    folder = run_folder(config.output)
    if config.restart:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:  # it is held
                path.unlink()
    names = [{"train": [each.name for each in files], "val": [each.name for each in validation]}]
    if (folder / NAME).is_file():
        _require_same(folder, plan, names)
        resume = load_checkpoint(folder / NAME)
        on_note(Noted(f"going on from step {resume.progress.step} of the run in {folder}"))
        return resume
    write_plan(plan, folder / PLAN)
    with replacing(folder / FOLDS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    return None


def _require_same(folder: Path, plan: Plan, names: list[Fold]) -> None:
    plan, other = override(plan, {}), read_plan(folder / PLAN)  # both as a file has them, where tuples are lists
    different = [
        f"{part}.{field.name}"
        for part in ("model", "training")
        for field in dataclasses.fields(getattr(plan, part))
        if getattr(getattr(plan, part), field.name) != getattr(getattr(other, part), field.name)
    ]
    if json.loads((folder / FOLDS).read_text(encoding="utf-8")) != names:
        different.append("the list of cases")
    if different:
        msg = (
            f"{folder} holds an unfinished run that differs in {', '.join(different)}; repeat its command, use "
            f"--plan {folder / PLAN}, or begin again with --restart"
        )
        raise JobError(msg)


def _label_maps(
    files: Sequence[CaseFiles],
    scored: Sequence[CaseFiles],
    plan: Plan,
    synthesis: Synthesis,
    device: torch.device,
    on_note: OnNote,
) -> tuple[SyntheticImages, list[Case]]:
    """What images are drawn from, and an image of each map that is held out."""
    spacing, seed = plan.model.spacing_mm, plan.training.seed
    if spacing is None:
        msg = "images are drawn with the model's spacing, but the plan has none; set it with --spacing"
        raise JobError(msg)
    where = device if device.type == "cuda" else torch.device("cpu")

    def load(part: Sequence[CaseFiles]) -> list[LabelMap]:
        return load_label_maps(part, synthesis, where, on_problem=lambda text: on_note(Warned(f"left out: {text}")))

    images = SyntheticImages(load(files), synthesis, plan.patch_shape, spacing, seed=seed)
    held_out = load(scored) if scored else []
    return images, held_out_cases(held_out, synthesis, plan.patch_shape, spacing, seed=seed)


def _load(files: Sequence[CaseFiles], plan: Plan, folder: Path, on_note: OnNote) -> list[Case]:
    """In memory, or on disk when all cases would take too much of it."""
    size_mb = 0.0
    for each in files:
        try:
            (first,) = load_cases([each], plan.model)
        except JobError:
            continue
        size_mb = (first.image.nbytes + first.labels.nbytes) / 2**20
        break
    needed_mb = len(files) * size_mb
    keep = folder / "cases" if needed_mb > _IN_MEMORY * memory_at_hand_mb(torch.device("cpu")) else None
    if keep is not None:
        on_note(Noted(f"{len(files)} cases take about {needed_mb:.0f} MiB and are read from {keep}"))
    return load_cases(files, plan.model, keep, on_problem=lambda text: on_note(Warned(f"left out: {text}")))

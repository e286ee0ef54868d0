"""One training as a user orders it: data set, plan and folds put together, then carried out. No printing here."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.bundles.metadata import read_manifest
from medseg.bundles.model_id import model_id_of
from medseg.inference.device import choose_device
from medseg.io.dataset import CaseFiles, Dataset, choose_cases, describe_dataset, read_fold
from medseg.spec.errors import JobError
from medseg.training.loop.processes import running_processes
from medseg.training.loop.teacher import taught_by
from medseg.training.loop.watch import Status
from medseg.training.planning.adapt import adapt
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.fingerprint import Fingerprint, take_fingerprint
from medseg.training.planning.folds import make_folds, read_subjects
from medseg.training.planning.plan import Plan, override, parse_changes, read_plan, write_plan
from medseg.training.planning.propose import PlanConstraints, propose
from medseg.training.train import PLAN, Settings, run_folder, train

DEFAULT_NETWORK, DEFAULT_FOLDS = "ultralight_unet", 5
_OWN_FOLDS = "splits_final.json"
_MOST_WORKERS = 8


@dataclass(frozen=True)
class PreparedTraining:
    """Everything decided."""

    asked: TrainingConfig
    plan: Plan
    training: Sequence[CaseFiles]
    validation: Sequence[CaseFiles]
    start: Bundle | None


def prepare(asked: TrainingConfig, on_note: Callable[[str], None] = lambda _: None) -> PreparedTraining:
    """Read the data set, take its fingerprint, and plan.

    Raises:
        JobError: when the order does not fit the data set.
    """
    dataset = describe_dataset(asked.dataset, asked.labels)
    for note in dataset.notes:
        on_note(note)
    start = None if asked.start is None else open_bundle(asked.start)
    fingerprint = take_fingerprint(dataset)
    for problem in fingerprint.problems:
        on_note(f"left out: {problem}")
    plan = override(_plan(asked, dataset, fingerprint, start), _changes(asked))
    plan = dataclasses.replace(plan, model=taught_by(plan.model, plan.training.teachers))
    usable = {case.name: dataset.cases[case.name] for case in fingerprint.cases}
    training, validation = _divide(asked, dataset, usable, plan.training.seed)
    return PreparedTraining(asked, plan, training, validation, start)


def carry_out(
    ready: PreparedTraining,
    on_note: Callable[[str], None] = lambda _: None,
    on_status: Callable[[Status], None] = lambda _: None,
) -> Bundle | None:
    """Train; see :func:`medseg.training.train.train`."""
    asked, licence = ready.asked, ready.plan.model.licence
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = Settings(
        seconds=asked.seconds,
        licence_text=f"{licence}\n" if asked.licence is None else asked.licence.read_text(encoding="utf-8"),
        workers=min(_MOST_WORKERS, max(1, cores - 1)) if asked.workers is None else asked.workers,
        device=_device(asked),
        restart=asked.restart,
        on_status=on_status,
        on_note=on_note,
    )
    return train(
        ready.training, ready.plan, asked.output, validation=ready.validation, start=ready.start, settings=settings
    )


def save_plan(ready: PreparedTraining) -> Path:
    """Write the plan to where the training will look for it."""
    folder = run_folder(ready.asked.output)
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(ready.plan, folder / PLAN)
    return folder / PLAN


def is_silent() -> bool:
    """Whether another process of this run speaks for all."""
    return running_processes().rank > 0


def _plan(asked: TrainingConfig, dataset: Dataset, fingerprint: Fingerprint, start: Bundle | None) -> Plan:
    if asked.plan is not None:
        return read_plan(asked.plan)
    model_id = model_id_of(asked.output)
    if start is not None:
        return adapt(start.manifest, dataset, fingerprint, model_id, seconds=asked.seconds, device=_device(asked))
    if asked.like is not None:
        manifest = read_manifest(asked.like)
        return adapt(
            manifest,
            dataset,
            fingerprint,
            manifest.model_id,
            keep_labels=True,
            fine_tuning=False,
            seconds=asked.seconds,
            device=_device(asked),
        )
    fixed = {
        path.removeprefix("model.arguments."): value
        for path, value in parse_changes(asked.changes).items()
        if path.startswith("model.arguments.")
    }
    wishes = PlanConstraints(
        model_id=model_id,
        network=asked.network or DEFAULT_NETWORK,
        arguments=fixed,
        spacing_mm=asked.spacing,
        window_shape=asked.window,
        slice_axis=asked.slice_axis,
        batch=asked.batch,
        steps=asked.steps,
        seconds=asked.seconds,
    )
    return propose(dataset, fingerprint, wishes, _device(asked))


def _changes(asked: TrainingConfig) -> Mapping[str, Any]:
    flags = {
        "training.steps": asked.steps,
        "training.batch": asked.batch,
        "training.patch_shape": asked.patch and list(asked.patch),
        "training.learning_rate": asked.learning_rate,
        "training.seed": asked.seed,
        "training.teachers": list(asked.teachers) or None,
        "model.window_shape": asked.window and list(asked.window),
        "model.spacing_mm": asked.spacing and list(asked.spacing),
    }
    given = {path: value for path, value in flags.items() if value is not None}
    return given | parse_changes(asked.changes)


def _divide(
    asked: TrainingConfig, dataset: Dataset, usable: dict[str, CaseFiles], seed: int
) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training and validation cases of the fold, without those that cannot be used."""
    if asked.fold == "all":
        return list(usable.values()), []
    if not asked.fold.isdigit():
        msg = f"--fold is a number from 0 or 'all', got {asked.fold!r}; choose one of these"
        raise JobError(msg)
    number, own = int(asked.fold), asked.dataset / _OWN_FOLDS
    path = Path(asked.folds) if asked.folds and not asked.folds.isdigit() else own if asked.folds is None else None
    if path is not None and (asked.folds or path.is_file()):
        names = read_fold(path, number)
        choose_cases(dict(dataset.cases), [*names[0], *names[1]])
    else:
        names = _make_fold(asked, list(usable), number, seed)
    training, validation = ([usable[name] for name in part if name in usable] for part in names)
    return training, validation


def _make_fold(asked: TrainingConfig, names: list[str], number: int, seed: int) -> tuple[list[str], list[str]]:
    subjects = read_subjects(asked.subjects, names) if asked.subjects else None
    groups = len(set(subjects.values()) if subjects else names)
    count = int(asked.folds) if asked.folds else min(DEFAULT_FOLDS, groups)
    if count < 2 and not asked.folds:
        return names, []
    made = make_folds(names, count, subjects=subjects, seed=seed)
    if number >= count:
        msg = f"there are folds 0 to {count - 1}, got {number}; choose one of them"
        raise JobError(msg)
    return made[number]["train"], made[number]["val"]


def _device(asked: TrainingConfig) -> torch.device:
    local = os.environ.get("LOCAL_RANK")
    if local is not None and asked.device == "auto" and torch.cuda.is_available():
        return torch.device(f"cuda:{local}")
    return choose_device(asked.device)

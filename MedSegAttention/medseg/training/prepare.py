"""What a user decides becomes a plan and two lists of cases. No printing here."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import open_bundle
from medseg.bundles.metadata import read_manifest
from medseg.bundles.model_id import model_id_of
from medseg.io.dataset import CaseFiles, Dataset, choose_cases, describe_dataset, describe_label_maps, read_fold
from medseg.spec.errors import JobError
from medseg.spec.events import Noted, Warned
from medseg.spec.manifest import ModelManifest
from medseg.training.loop.processes import training_device
from medseg.training.loop.teacher import taught_by
from medseg.training.planning.adapt import adapt
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.fingerprint import Fingerprint, take_fingerprint
from medseg.training.planning.folds import DEFAULT_FOLDS, make_folds, read_subjects
from medseg.training.planning.plan import Plan, override, parse_changes, read_plan
from medseg.training.planning.propose import propose
from medseg.training.planning.propose_synthetic import propose_synthetic, survey

_OWN_FOLDS = "splits_final.json"


def prepare(
    config: TrainingConfig, on_note: Callable[[Noted | Warned], None] = lambda _: None
) -> tuple[Plan, list[CaseFiles], list[CaseFiles]]:
    """Read the data set, take its fingerprint, plan, and divide the cases.

    Returns:
        The plan, the cases that train, and those that are held out.

    Raises:
        JobError: when the configuration does not fit the data set.
    """
    describe = describe_label_maps if config.synthetic else describe_dataset
    dataset = describe(config.dataset, config.labels)
    for note in dataset.notes:
        on_note(Noted(note))
    source = None  # of what is planned; read first, since its mistakes show at once
    if config.start is not None:
        source = open_bundle(config.start).manifest
    elif config.like is not None:
        source = read_manifest(config.like)
    if config.synthetic:
        return _prepare_synthetic(config, dataset, source, on_note)
    fingerprint = take_fingerprint(dataset)
    for problem in fingerprint.problems:
        on_note(Warned(f"left out: {problem}"))
    for warning in fingerprint.warnings:
        on_note(Warned(warning))
    plan = override(_plan(config, dataset, fingerprint, source), _changes(config))
    plan = dataclasses.replace(plan, model=taught_by(plan.model, plan.training.teachers))
    usable = {case.name: dataset.cases[case.name] for case in fingerprint.cases}
    training, validation = _divide(config, dataset, usable, plan.training.seed)
    if len(training) == 1:
        scored = "" if validation else ", and none is held out to score what was learned"
        on_note(Warned(f"only the case {training[0].name} trains{scored}: the model will know that one; add cases"))
    return plan, training, validation


def _prepare_synthetic(
    config: TrainingConfig,
    dataset: Dataset,
    source: ModelManifest | None,
    on_note: Callable[[Noted | Warned], None],
) -> tuple[Plan, list[CaseFiles], list[CaseFiles]]:
    """The same for a training on images drawn from label maps."""
    facts = survey(dataset)
    for problem in facts.problems:
        on_note(Warned(f"left out: {problem}"))
    if config.plan is not None:
        plan = read_plan(config.plan)
    else:
        device = training_device(config.device)
        plan = propose_synthetic(dataset, facts, config, source, device, lambda text: on_note(Noted(text)))
    plan = override(plan, _changes(config))
    if plan.training.synthesis is None:
        msg = f"{config.plan} says nothing about drawing images; write a plan with: medseg train --synthetic --dry-run"
        raise JobError(msg)
    plan = dataclasses.replace(plan, model=taught_by(plan.model, plan.training.teachers))
    return plan, *_divide(config, dataset, {name: dataset.cases[name] for name in facts.names}, plan.training.seed)


def _plan(config: TrainingConfig, dataset: Dataset, fingerprint: Fingerprint, source: ModelManifest | None) -> Plan:
    if config.plan is not None:
        return read_plan(config.plan)
    device = training_device(config.device)
    if source is None:
        return propose(dataset, fingerprint, config, device)
    model_id = None if config.start is None else model_id_of(config.output)
    return adapt(source, dataset, fingerprint, model_id, seconds=config.seconds, device=device)


def _changes(config: TrainingConfig) -> Mapping[str, Any]:
    flags = {
        "training.steps": config.steps,
        "training.batch": config.batch,
        "training.patch_shape": config.patch and list(config.patch),
        "training.learning_rate": config.learning_rate,
        "training.seed": config.seed,
        "training.teachers": list(config.teachers) or None,
        "model.window_shape": config.window and list(config.window),
        "model.spacing_mm": config.spacing and list(config.spacing),
    }
    given = {path: value for path, value in flags.items() if value is not None}
    return given | parse_changes(config.changes)


def _divide(
    config: TrainingConfig, dataset: Dataset, usable: dict[str, CaseFiles], seed: int
) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training and validation cases of the fold, without those that cannot be used."""
    if config.fold == "all":
        return list(usable.values()), []
    if not config.fold.isdigit():
        msg = f"--fold is a number from 0 or 'all', got {config.fold!r}; choose one of these"
        raise JobError(msg)
    number, own = int(config.fold), config.dataset / _OWN_FOLDS
    path = Path(config.folds) if config.folds and not config.folds.isdigit() else own if config.folds is None else None
    if path is not None and (config.folds or path.is_file()):
        parts = read_fold(path, number)
        choose_cases(dict(dataset.cases), [*parts[0], *parts[1]])
    else:
        parts = _make_fold(config, list(usable), number, seed)
    training, validation = ([usable[name] for name in part if name in usable] for part in parts)
    return training, validation


def _make_fold(config: TrainingConfig, names: list[str], number: int, seed: int) -> tuple[list[str], list[str]]:
    subjects = read_subjects(config.subjects, names) if config.subjects else None
    groups = len(set(subjects.values()) if subjects else names)
    count = int(config.folds) if config.folds else min(DEFAULT_FOLDS, groups)
    if count < 2 and not config.folds:
        return names, []
    made = make_folds(names, count, subjects=subjects, seed=seed)
    if number >= count:
        msg = f"there are folds 0 to {count - 1}, got {number}; choose one of them"
        raise JobError(msg)
    return made[number]["train"], made[number]["val"]

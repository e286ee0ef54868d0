"""A training for another program: a job in, events out, and the model in its place when all of it is there."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from medseg.inference.device import choose_device, device_name
from medseg.inference.out_of_memory import is_out_of_memory
from medseg.io.dataset import describe_dataset, read_fold
from medseg.spec.errors import Cancelled, JobError, OutputExists
from medseg.spec.events import Event, Finished, Learning, Noted, Progress, Warned
from medseg.spec.training_job import TrainingJob
from medseg.training.planning.config import TrainingConfig
from medseg.training.prepare import prepare
from medseg.training.train import FOLDS, PLAN, run_folder, train

UNFINISHED = ".training"  # beside the models: hidden, so that no catalogue looks into it, and one rename away
_READING = Learning(step=0, steps=0, part=0.0, loss=None, dice=None, best_dice=None)


def run_training(job: TrainingJob, on_event: Callable[[Event], None], cancelled: Callable[[], bool]) -> None:
    """Train and put the model in its place; the same job goes on where a cancelled or killed one was.

    Everything is made in a hidden folder beside the model, which is renamed when it is whole. The folder stays until
    the model is there.

    Args:
        job: what to do.
        on_event: hears Learning, Noted, Warned and, last, Finished.
        cancelled: called at each word about progress.

    Raises:
        Cancelled: when it was called off.
        MedSegError: what the user can mend.
    """
    begun = time.monotonic()
    output = Path(job.output)
    if output.exists():
        msg = f"{output} exists and is kept; give the new model another name"
        raise OutputExists(msg)
    device = choose_device(job.device)

    def say(event: Event) -> None:
        if cancelled():
            raise Cancelled
        on_event(event)

    say(_READING)
    home = unfinished_folder(job)
    made = home / output.name
    if not made.exists():  # else it was stopped between the last two steps
        _train(job, made, say)
    say(Progress("write", 0, 1))
    made.rename(output)
    shutil.rmtree(home.parent, ignore_errors=True)
    on_event(Finished((str(output),), device_name(device), time.monotonic() - begun))


def unfinished_folder(job: TrainingJob) -> Path:
    """Where a training lies until it has ended: one folder for each name and the choices of its job.

    Raises:
        JobError: when the data set cannot be listed.
    """
    parts = [job.title, job.start, job.network, job.seed, job.steps, [asdict(label) for label in job.labels]]
    cases = sorted(describe_dataset(Path(job.dataset)).cases)
    digest = hashlib.sha256(json.dumps([*parts, cases]).encode()).hexdigest()
    output = Path(job.output)
    return output.parent / UNFINISHED / output.name / digest[:12]


def _train(job: TrainingJob, made: Path, say: Callable[[Event], None]) -> None:
    try:
        config = _config(job, made)
        plan, training, validation = prepare(config, say)
        folds = run_folder(made) / FOLDS
        names = [each.name for each in training], [each.name for each in validation]
        if folds.is_file() and read_fold(folds, 0) != names:
            say(Warned("the cases are divided in another way than before this training was stopped; it begins anew"))
            shutil.rmtree(run_folder(made))
            config = _config(job, made)
            plan, training, validation = prepare(config, say)
        count = len(training) + len(validation)
        if count < 2 or not training:
            msg = f"a training takes at least 2 labelled cases, got {count} that can be used; add some"
            raise JobError(msg)
        say(Noted(f"{len(training)} cases train, {len(validation)} are held out and score the model"))
        if not validation:
            say(Warned("all cases are of one subject, so that none is held out: nothing is known about other people"))
        train(config, plan, training, validation, on_note=say, on_progress=say)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        msg = "the memory is too small for this training; choose another device or a model with a smaller window"
        raise JobError(msg) from error
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _config(job: TrainingJob, made: Path) -> TrainingConfig:
    stored = run_folder(made) / PLAN  # of an earlier turn: what is proposed depends on the memory at hand
    changes = [f"model.title={json.dumps(job.title)}"]
    if job.labels:
        changes.append(f"model.labels={json.dumps([asdict(label) for label in job.labels])}")
    return TrainingConfig(
        dataset=Path(job.dataset),
        output=made,
        start=job.start,
        network=job.network,
        plan=stored if stored.is_file() else None,
        seconds=job.seconds,
        steps=job.steps,
        seed=job.seed,
        device=job.device,
        subjects=job.subjects,
        changes=tuple(changes),
    )

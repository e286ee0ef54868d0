"""An import for another program: a job in, events out, and the model in its place when all of it is there."""

import time
from collections.abc import Callable
from pathlib import Path

from medseg.bundles.importing.import_any import import_any
from medseg.spec.errors import Cancelled, OutputExists
from medseg.spec.events import Event, Finished, ImportStage, Noted, Progress
from medseg.spec.import_job import ImportJob


def run_import(job: ImportJob, on_event: Callable[[Event], None], cancelled: Callable[[], bool]) -> None:
    """Import a model in the folder for unfinished things, and rename it when it is whole.

    Args:
        job: what to do.
        on_event: hears Progress, a Noted for each assumption and, last, Finished.
        cancelled: asked between the steps.

    Raises:
        Cancelled: when it was called off; the folder for unfinished things may be removed then.
        MedSegError: what the user can mend.
    """
    begun = time.monotonic()
    output, scratch = Path(job.output), Path(job.scratch)
    _require_free(output)
    scratch.mkdir(parents=True, exist_ok=True)

    def watch(stage: ImportStage) -> None:
        if cancelled():
            raise Cancelled
        on_event(Progress(stage, 0, 1))

    made = import_any(
        Path(job.source),
        scratch / output.name,
        job.choices,
        network=job.network,
        arguments=job.arguments,
        configuration=job.configuration,
        task=job.task,
        folds=job.folds,
        scratch=scratch,
        watch=watch,
    )
    if cancelled():
        raise Cancelled
    _require_free(output)  # another program may have been quicker
    made.bundle.folder.rename(output)
    for note in made.notes:
        on_event(Noted(note))
    on_event(Finished((str(output),), "CPU", time.monotonic() - begun))


def _require_free(output: Path) -> None:
    if output.exists():
        msg = f"{output} exists and is kept; give the new model another name"
        raise OutputExists(msg)

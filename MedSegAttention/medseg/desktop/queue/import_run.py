"""An import order -> a job with a place for unfinished things, when its turn comes; the new model -> words about it."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from medseg.bundles.catalogue import metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.desktop.queue.training_choices import model_folder
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.state.order import AnyOrder, ImportOrder
from medseg.desktop.state.texts import _
from medseg.spec.errors import JobError
from medseg.spec.events import Finished
from medseg.spec.import_job import Choices, ImportJob

UNFINISHED = ".importing"  # beside the models: hidden, so that no catalogue looks into it, and one rename away


@dataclass(frozen=True)
class ImportRequest:
    """A job, and a folder that belongs to its row alone."""

    folder: Path
    job: ImportJob


@dataclass(frozen=True, eq=False)
class ImportRun:
    """An import under way."""

    request: ImportRequest
    is_stale: bool = False  # its scene was closed


def make_import_order(
    source: Path, title: str, choices: Choices, taken: Iterable[str], waiting: Iterable[AnyOrder] = (), **fields: object
) -> ImportOrder:
    """What is asked for, refused at once where it can be seen at once that it cannot be done.

    Args:
        source: folder, ZIP archive or file of weights.
        title: of the new model.
        choices: whose id and title are set here.
        taken: ids of the models that are installed.
        waiting: orders that have not ended.
        fields: the others of ``ImportJob``.

    Raises:
        JobError: if there is no name, or one in the queue has it.
        OutputExists: if there is a model of that name; it is kept.
    """
    output = model_folder(title, taken)
    if any(isinstance(order, ImportOrder) and order.job.output == str(output) for order in waiting):
        msg = _("An import with this name is in the queue; wait for it, cancel it there, or choose another name")
        raise JobError(msg)
    named = replace(choices, model_id=output.name, title=title.strip())
    job = ImportJob(source=str(source), output=str(output), scratch="", choices=named, **fields)  # type: ignore[arg-type]
    return ImportOrder(job=job, title=title.strip())


def prepare_import(order: ImportOrder, folder: Path) -> ImportRun:
    """Name the place for unfinished things after the row's folder, which no other row has."""
    return ImportRun(ImportRequest(folder, replace(order.job, scratch=str(_scratch(order, folder.name)))))


def drop_unfinished(run: object) -> None:
    """Remove what an import has left that was cancelled or killed; of one that is done nothing is left there.

    Args:
        run: of any row; of others nothing is removed.
    """
    if not isinstance(run, ImportRun):
        return
    scratch = Path(run.request.job.scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    with suppress(OSError):  # others are at work there
        scratch.parent.rmdir()


def import_model_result(finished: Finished) -> ImportedResult:
    """Say what became of an import; the catalogue finds the model.

    Args:
        finished: the worker's last word.
    """
    manifest = read_manifest(metadata_path(Path(finished.outputs[0])))
    text = _(
        "The model {title} is in the list of models: every weight fits, one window was tried. Its card says what was "
        "verified and what was assumed."
    )
    return ImportedResult(message=text.format(title=manifest.title))


def _scratch(order: ImportOrder, name: str) -> Path:
    return Path(order.job.output).parent / UNFINISHED / name

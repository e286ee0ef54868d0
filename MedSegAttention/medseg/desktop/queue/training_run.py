"""A training order -> cases and job in a folder, when its turn comes; the new model -> words about it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.state.order import TrainingOrder
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import Pair, labels_of, renamed, write_description, write_steps
from medseg.spec.errors import JobError
from medseg.spec.events import Finished
from medseg.spec.manifest import LabelSpec
from medseg.spec.training_job import TrainingJob
from medseg.training.loop.run_log import read_log

_LOG = Path("docs", "training", "log.csv")


@dataclass(frozen=True)
class TrainingRequest:
    """A job, and the folder that holds its cases."""

    folder: Path
    job: TrainingJob


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A training under way."""

    request: TrainingRequest
    is_stale: bool = False  # its scene was closed


def make_training_order(pairs: Sequence[Pair], **fields: Any) -> TrainingOrder:
    """What is asked for, refused at once where it can be seen at once that it cannot be done.

    Args:
        pairs: cases of the scene; none where a ``dataset`` is given.
        fields: the others of ``TrainingOrder``.

    Raises:
        MedSegError: says what is wrong, and with which node.
    """
    order = TrainingOrder(pairs=tuple((pair.volume.GetID(), pair.segmentation.GetID()) for pair in pairs), **fields)
    start = order.start
    _job(order, order.dataset or Path(), (), None)
    if order.dataset is None:
        labels_of(pairs)
        count = 1 if start is None else len(start.manifest.channels)
        if start is not None and count != 1:
            msg = _(
                "Cases of the scene have one volume each, and {model} takes {count} channels; choose another model to "
                "begin with, or a folder of cases"
            )
            raise JobError(msg.format(model=start.manifest.title, count=count))
    return order


def prepare_training(scene: Node, order: TrainingOrder, folder: Path) -> Generator[str, None, TrainingRun]:
    """Write the cases of an order, one a step.

    Args:
        scene: the MRML scene.
        order: what was asked for.
        folder: exists and belongs to this job alone.

    Returns:
        Yields a sentence before each case.

    Raises:
        MedSegError: if a node is gone, or a case cannot be learnt from.
        OSError: if the folder cannot be written.
    """
    if order.dataset is not None:
        return TrainingRun(TrainingRequest(folder, _job(order, order.dataset, (), None)))
    pairs = [Pair(*(scene.GetNodeByID(each) for each in ids)) for ids in order.pairs]
    if any(node is None for pair in pairs for node in (pair.volume, pair.segmentation)):
        msg = _("A volume or a segmentation to learn from is no longer in the scene; choose the cases again")
        raise JobError(msg)
    labels = renamed(labels_of(pairs), _names(order.start))
    for number, name in enumerate(write_steps(pairs, labels, folder), start=1):
        yield _("Writing case {number} of {count}: {name}").format(number=number, count=len(pairs), name=name)
    subjects = write_description(scene, pairs, labels, folder, order.title)
    job = _job(order, folder, _as_in_model(labels, order.start), subjects)
    return TrainingRun(TrainingRequest(folder, job))


def import_training_result(finished: Finished) -> ImportedResult:
    """Say what became of a training; the catalogue finds the model.

    Args:
        finished: the worker's last word.
    """
    folder = Path(finished.outputs[0])
    title = read_manifest(metadata_path(folder)).title
    scores = [row.dice for row in read_log(folder / _LOG) if row.dice is not None]
    if not scores:
        return ImportedResult(message=_("The model {title} is in the list of models.").format(title=title))
    text = _("The model {title} is in the list of models; Dice of the cases that were held out: {dice:.3f}.")
    return ImportedResult(message=text.format(title=title, dice=max(scores)))


def _job(order: TrainingOrder, dataset: Path, labels: tuple[LabelSpec, ...], subjects: Path | None) -> TrainingJob:
    return TrainingJob(
        dataset=str(dataset),
        output=str(order.output),
        title=order.title,
        start=None if order.start is None else str(order.start.folder),
        network=order.network,
        labels=labels,
        seconds=order.seconds,
        steps=order.steps,
        device=order.device,
        subjects=None if subjects is None else str(subjects),
    )


def _names(start: Bundle | None) -> list[str]:
    return [] if start is None else [label.name for label in start.manifest.labels]


def _as_in_model(labels: Sequence[LabelSpec], start: Bundle | None) -> tuple[LabelSpec, ...]:
    """The model's spelling where all labels are its own: then it keeps its last layer."""
    names = _names(start)
    if [spec.name.casefold() for spec in labels] != [name.casefold() for name in names]:
        return tuple(labels)
    return tuple(replace(spec, name=name) for spec, name in zip(labels, names, strict=True))

"""A finished job comes back to a scene that may have changed meanwhile: its result is shown whatever happened."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medseg.desktop.scene.located_boxes import boxes_below
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.scene.probability_volumes import ProbabilityVolumes
from medseg.desktop.scene.results import show_labels, write_provenance
from medseg.desktop.scene.undo import UndoStep
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_folder import read_answer
from medseg.imaging.image import Image
from medseg.mrml.flat_view import show_flat
from medseg.mrml.grids import Node
from medseg.mrml.sequences import put_labels, show_current
from medseg.spec.errors import EXPECTED_ERRORS, JobError, MedSegError
from medseg.spec.events import Finished


@dataclass(frozen=True, eq=False)
class ImportedResult:
    """What became of a result.

    Attributes:
        node: the segmentation that shows it; None where none could.
        step: takes it back out of the segmentation; None for a time point of a sequence.
        message: what went otherwise than asked for; None where nothing did.
        kept: the file that still holds the result, where no node does.
        segment_ids: of each label of the model, in its order.
        volumes: of probabilities and of uncertainty that came at once; those to be brought are not here.
    """

    node: Node = None
    step: UndoStep | None = None
    message: str | None = None
    kept: Path | None = None
    segment_ids: tuple[str, ...] = ()
    volumes: tuple[Node, ...] = ()


def import_result(
    scene: Node,
    run: PendingRun,
    finished: Finished,
    versions: dict[str, str],
    *,
    bring: Callable[[ProbabilityVolumes], None] | None = None,
) -> ImportedResult:
    """Show a result where it was asked for; else in a new segmentation; else say which file holds it.

    Args:
        scene: the MRML scene.
        run: what was asked for.
        finished: the worker's last word.
        versions: of the programs that took part.
        bring: takes the volumes of probabilities, to draw them one after the other; None: all come at once.
    """
    try:
        labels = read_answer(run.request, run.image)
    except EXPECTED_ERRORS as error:
        return _kept(run, error)
    try:
        result = _show_as_asked(scene, run, labels)
    except EXPECTED_ERRORS as error:
        try:
            result = _show_anew(scene, run, labels, error)
        except EXPECTED_ERRORS as again:
            return _kept(run, again)
    try:
        moved = run.affine_now(scene) @ np.linalg.inv(run.image.affine)
        boxes = boxes_below(result.node, finished.boxes, moved)
        write_provenance(result.node, run.bundle, run.request.job, finished, versions, result.segment_ids, boxes)
    except EXPECTED_ERRORS as error:
        result = _with_note(result, _("How it was made could not be written on it: {error}"), error)
    if result.node.GetScene() is not scene:  # it is an item of a sequence: what shows that stands for it
        result = replace(result, node=show_current(scene, _output(scene, run)) or result.node)
    return _with_probabilities(scene, run, result, bring)


def _with_probabilities(
    scene: Node, run: PendingRun, result: ImportedResult, bring: Callable[[ProbabilityVolumes], None] | None
) -> ImportedResult:
    if not (run.settings.probabilities or run.settings.entropy):
        return result
    try:
        if run.time_point is not None:
            msg = _("they are brought for single volumes; of time points only the segments are")
            raise JobError(msg)
        if run.request.job.probabilities is None:
            return result
        volumes = ProbabilityVolumes(scene, run, result.node, result.segment_ids)
        if bring is None:
            return replace(result, volumes=tuple(node for node in volumes if node is not None))
        bring(volumes)
    except EXPECTED_ERRORS as error:
        return _with_note(result, _("The probabilities could not be shown: {error}"), error)
    return result


def _show_as_asked(scene: Node, run: PendingRun, labels: Image) -> ImportedResult:
    """Put the labels where the volume lies now: it may have been moved while the network was at work."""
    if run.time_point is not None:
        return _show_time_point(scene, run, labels)
    volume = scene.GetNodeByID(run.volume_id)
    labels = Image(labels.array, run.affine_now(scene))
    target = None if run.target_id is None else scene.GetNodeByID(run.target_id)
    shown = show_labels(
        scene, labels, run.labels, volume, target=target, mode=run.mode, overlap=run.overlap, title=run.title
    )
    show_flat(scene, volume)
    result = ImportedResult(shown.node, shown.step, segment_ids=shown.segment_ids)
    if shown.overwritten:
        lost = ", ".join(f"{name} ({count})" for name, count in shown.overwritten)
        text = _("By the overlap rule these segments lost voxels to the new ones: {lost}. Undo brings them back.")
        result = replace(result, message=text.format(lost=lost))
    if run.target_id is None or target is not None:
        return result
    gone = _("The segmentation to join is no longer there; the segments are in the new segmentation {name}")
    return replace(result, message=gone.format(name=shown.node.GetName()))


def _show_time_point(scene: Node, run: PendingRun, labels: Image) -> ImportedResult:
    """Put the labels into the sequence of segmentations."""
    point, output = run.time_point, _output(scene, run)
    sequence = None if point is None else scene.GetNodeByID(point.sequence_id)
    if point is None or sequence is None or output is None:
        msg = _("The sequence or the one for its segmentations is no longer in the scene")
        raise JobError(msg)
    specs = run.labels
    item = put_labels(scene, output, sequence, point.item, labels, specs)
    return ImportedResult(item, segment_ids=tuple(f"Segment_{spec.value}" for spec in specs))


def _output(scene: Node, run: PendingRun) -> Node:
    return None if run.time_point is None else scene.GetNodeByID(run.time_point.output_id)


def _show_anew(scene: Node, run: PendingRun, labels: Image, error: BaseException) -> ImportedResult:
    """Put the labels where the volume lay, into a segmentation that hangs under nothing."""
    shown = show_labels(scene, labels, run.labels, None, title=run.title)
    text = _("The result could not be shown as asked ({error}); it is in the new segmentation {name}")
    message = text.format(error=_words(error), name=shown.node.GetName())
    return ImportedResult(shown.node, shown.step, message=message, segment_ids=shown.segment_ids)


def _kept(run: PendingRun, error: BaseException) -> ImportedResult:
    path = Path(run.request.job.output)
    text = _("The result could not be shown ({error}); it is kept in the file {path}")
    return ImportedResult(message=text.format(error=_words(error), path=path), kept=path)


def _with_note(result: ImportedResult, text: str, error: BaseException) -> ImportedResult:
    lines = filter(None, [result.message, text.format(error=_words(error))])
    return replace(result, message="\n".join(lines))


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, MedSegError) else f"{type(error).__name__}: {error}"

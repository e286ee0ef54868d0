"""A finished job comes back to a scene that may have changed meanwhile: its result is shown whatever happened."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.probability_volumes import ProbabilityVolumes, affine_now
from medseg.desktop.scene.results import Mode, show_labels, write_provenance
from medseg.desktop.scene.undo_step import UndoStep
from medseg.desktop.state.order import TimePoint
from medseg.desktop.state.settings import DEFAULTS, PanelSettings
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_folder import Request, read_answer
from medseg.imaging.image import Image
from medseg.mrml.grids import Node
from medseg.mrml.overlap import Overlap
from medseg.mrml.sequences import put_labels, show_current
from medseg.spec.errors import EXPECTED_ERRORS, JobError, MedSegError
from medseg.spec.events import Finished


@dataclass(frozen=True, eq=False)
class PendingRun:
    """What was asked for when Apply was pressed; controls and scene may change before the answer comes."""

    request: Request
    bundle: Bundle
    image: Image  # the first channel: its grid as it was; its voxels are those of the scene
    volume_id: str
    target_id: str | None  # the segmentation to join; None: a new one
    mode: Mode
    is_stale: bool = False  # its scene was closed: ids mean other nodes now
    settings: PanelSettings = DEFAULTS  # says which volumes come along
    time_point: TimePoint | None = None  # of a sequence; None: a volume of its own
    overlap: Overlap = "allow"  # whether new segments take voxels away from those of the segmentation to join


@dataclass(frozen=True, eq=False)
class ImportedResult:
    """What became of a result.

    Attributes:
        node: the segmentation that shows it; None where none could.
        step: takes it back out of a segmentation that was there before; None for a new one.
        message: what went otherwise than asked for; None where nothing did.
        kept: the file that still holds the result, where no node does.
        segment_ids: of each label of the model, in its order.
        maps: the volumes of probabilities and of uncertainty that came at once; those to be brought are not here.
    """

    node: Node = None
    step: UndoStep | None = None
    message: str | None = None
    kept: Path | None = None
    segment_ids: tuple[str, ...] = ()
    maps: tuple[Node, ...] = ()


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
        landing = _show_as_asked(scene, run, labels)
    except EXPECTED_ERRORS as error:
        try:
            landing = _show_anew(scene, run, labels, error)
        except EXPECTED_ERRORS as again:
            return _kept(run, again)
    try:
        write_provenance(landing.node, run.bundle, run.request.job, finished, versions, landing.segment_ids)
    except EXPECTED_ERRORS as error:
        landing = _with_note(landing, _("How it was made could not be written on it: {error}"), error)
    if landing.node.GetScene() is not scene:  # it is an item of a sequence: what shows that stands for it
        landing = replace(landing, node=show_current(scene, _output(scene, run)) or landing.node)
    try:
        maps = _maps(scene, run, landing)
        if maps is None:
            return landing
        if bring is None:
            return replace(landing, maps=tuple(node for node in maps if node is not None))
        bring(maps)
    except EXPECTED_ERRORS as error:
        return _with_note(landing, _("The probabilities could not be shown: {error}"), error)
    return landing


def _show_as_asked(scene: Node, run: PendingRun, labels: Image) -> ImportedResult:
    """Put the labels where the volume lies now: it may have been moved while the network was at work."""
    if run.time_point is not None:
        return _show_time_point(scene, run, labels)
    volume = scene.GetNodeByID(run.volume_id)
    labels = Image(labels.array, affine_now(scene, run))
    target = None if run.target_id is None else scene.GetNodeByID(run.target_id)
    specs = run.bundle.manifest.labels
    shown = show_labels(scene, labels, specs, volume, target=target, mode=run.mode, overlap=run.overlap)
    landing = ImportedResult(shown.node, shown.step, segment_ids=shown.segment_ids)
    if shown.overwritten:
        lost = ", ".join(f"{name} ({count})" for name, count in shown.overwritten)
        text = _("By the overlap rule these segments lost voxels to the new ones: {lost}. Undo brings them back.")
        landing = replace(landing, message=text.format(lost=lost))
    if run.target_id is None or target is not None:
        return landing
    gone = _("The segmentation to join is no longer there; the segments are in the new segmentation {name}")
    return replace(landing, message=gone.format(name=shown.node.GetName()))


def _show_time_point(scene: Node, run: PendingRun, labels: Image) -> ImportedResult:
    """Put the labels into the sequence of segmentations."""
    point, output = run.time_point, _output(scene, run)
    sequence = None if point is None else scene.GetNodeByID(point.sequence_id)
    if point is None or sequence is None or output is None:
        msg = _("The sequence or the one for its segmentations is no longer in the scene")
        raise JobError(msg)
    specs = run.bundle.manifest.labels
    item = put_labels(scene, output, sequence, point.item, labels, specs)
    return ImportedResult(item, segment_ids=tuple(f"Segment_{spec.value}" for spec in specs))


def _output(scene: Node, run: PendingRun) -> Node:
    return None if run.time_point is None else scene.GetNodeByID(run.time_point.output_id)


def _maps(scene: Node, run: PendingRun, landing: ImportedResult) -> ProbabilityVolumes | None:
    """The volumes that were asked for; None where none were."""
    settings = run.settings
    if not (settings.probabilities or settings.entropy):
        return None
    if run.time_point is not None:
        msg = _("they are brought for single volumes; of time points only the segments are")
        raise JobError(msg)
    if run.request.job.probabilities is None:
        return None
    return ProbabilityVolumes(scene, run, landing.node, landing.segment_ids)


def _show_anew(scene: Node, run: PendingRun, labels: Image, error: BaseException) -> ImportedResult:
    """Put the labels where the volume lay, into a segmentation that hangs under nothing."""
    shown = show_labels(scene, labels, run.bundle.manifest.labels, None)
    text = _("The result could not be shown as asked ({error}); it is in the new segmentation {name}")
    message = text.format(error=_words(error), name=shown.node.GetName())
    return ImportedResult(shown.node, message=message, segment_ids=shown.segment_ids)


def _kept(run: PendingRun, error: BaseException) -> ImportedResult:
    path = Path(run.request.job.output)
    text = _("The result could not be shown ({error}); it is kept in the file {path}")
    return ImportedResult(message=text.format(error=_words(error), path=path), kept=path)


def _with_note(landing: ImportedResult, text: str, error: BaseException) -> ImportedResult:
    lines = filter(None, [landing.message, text.format(error=_words(error))])
    return replace(landing, message="\n".join(lines))


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, MedSegError) else f"{type(error).__name__}: {error}"

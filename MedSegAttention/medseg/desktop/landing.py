"""A finished job comes back to a scene that may have changed meanwhile: its result is shown whatever happened."""

from dataclasses import dataclass
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.desktop.one_step import OneStep
from medseg.desktop.request import Request, read_answer
from medseg.desktop.results import Mode, show_labels, write_provenance
from medseg.desktop.texts import _
from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_world
from medseg.spec.errors import MedSegError
from medseg.spec.events import Finished

# What VTK's wrapping, numpy and the readers raise. A result took minutes: a bug of ours must not cost it.
_MISHAPS: tuple[type[Exception], ...] = (
    MedSegError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class PendingRun:
    """What was asked for when Apply was pressed; controls and scene may change before the answer comes."""

    request: Request
    bundle: Bundle
    image: Image  # the first channel, as it was
    volume_id: str
    target_id: str | None  # the segmentation to join; None: a new one
    mode: Mode
    is_stale: bool = False  # its scene was closed: ids mean other nodes now


@dataclass(frozen=True, eq=False)
class Landing:
    """What became of a result.

    Attributes:
        node: the segmentation that shows it; None where none could.
        step: takes it back out of a segmentation that was there before; None for a new one.
        message: what went otherwise than asked for; None where nothing did.
        kept: the file that still holds the result, where no node does.
    """

    node: Node = None
    step: OneStep | None = None
    message: str | None = None
    kept: Path | None = None


def land(scene: Node, run: PendingRun, finished: Finished, versions: dict[str, str]) -> Landing:
    """Show a result where it was asked for; else in a new segmentation; else say which file holds it."""
    try:
        labels = read_answer(run.request, run.image)
    except _MISHAPS as error:
        return _kept(run, error)
    try:
        landing = _show_as_asked(scene, run, labels)
    except _MISHAPS as error:
        try:
            landing = _show_anew(scene, run, labels, error)
        except _MISHAPS as again:
            return _kept(run, again)
    try:
        write_provenance(landing.node, run.bundle, run.request.job, finished, versions)
    except _MISHAPS as error:
        note = _("How it was made could not be written on it: {error}").format(error=error)
        return Landing(landing.node, landing.step, "\n".join(filter(None, [landing.message, note])))
    return landing


def _show_as_asked(scene: Node, run: PendingRun, labels: Image) -> Landing:
    """Put the labels where the volume lies now: it may have been moved while the network was at work."""
    volume = scene.GetNodeByID(run.volume_id)
    if volume is not None and volume.GetImageData().GetDimensions() == labels.shape:
        labels = Image(labels.array, ijk_to_world(volume))
    target = None if run.target_id is None else scene.GetNodeByID(run.target_id)
    specs = run.bundle.manifest.labels
    node, step = show_labels(scene, labels, specs, volume, target=target, mode=run.mode)
    if run.target_id is None or target is not None:
        return Landing(node, step)
    gone = _("The segmentation to join is no longer there; the segments are in the new segmentation {name}")
    return Landing(node, message=gone.format(name=node.GetName()))


def _show_anew(scene: Node, run: PendingRun, labels: Image, error: BaseException) -> Landing:
    """Put the labels where the volume lay, into a segmentation that hangs under nothing."""
    node, _step = show_labels(scene, labels, run.bundle.manifest.labels, None)
    text = _("The result could not be shown as asked ({error}); it is in the new segmentation {name}")
    return Landing(node, message=text.format(error=_words(error), name=node.GetName()))


def _kept(run: PendingRun, error: BaseException) -> Landing:
    path = Path(run.request.job.output)
    text = _("The result could not be shown ({error}); it is kept in the file {path}")
    return Landing(message=text.format(error=_words(error), path=path), kept=path)


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, MedSegError) else f"{type(error).__name__}: {error}"

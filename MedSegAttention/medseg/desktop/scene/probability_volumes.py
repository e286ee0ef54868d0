"""The probabilities and the entropy of a finished job come into the scene one after the other, from their own file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.steps import Steps
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_folder import Request, read_probabilities
from medseg.desktop.worker.job_home import make_job_folder, remove_job_folder
from medseg.mrml.cuts import cut_segment
from medseg.mrml.grids import Node
from medseg.mrml.probabilities import (
    empty_volume,
    entropy_steps,
    fill_steps,
    link_entropy,
    link_probability,
    mask_digest,
    show_entropy,
    show_probability,
)
from medseg.mrml.segmentations import voxels
from medseg.mrml.snapshots import drawn
from medseg.spec.errors import EXPECTED_ERRORS, JobError, MedSegError


class ProbabilityVolumes:
    """An iterator with a volume a step, or None for a step that brought none; ``close`` it when it is not drawn out.

    The file is moved to a folder of its own, since that of the job is removed when the segments are shown.

    Args:
        scene: the MRML scene; when the nodes leave it nothing more comes.
        run: the job; its settings say which volumes.
        node: the segmentation that shows the result.
        segment_ids: of each label of the model, in its order.

    Raises:
        MedSegError: if the probabilities are not those of the volume.
        OSError: if they cannot be read.
    """

    def __init__(self, scene: Node, run: PendingRun, node: Node, segment_ids: tuple[str, ...]) -> None:
        self._scene, self._run, self._node, self._ids = scene, run, node, segment_ids
        read_probabilities(run.request, run.image)  # what is wrong with it is better said now
        self._folder = make_job_folder("volumes-", beside=run.request.folder)
        path = Path(str(run.request.job.probabilities))
        path = path.rename(self._folder / path.name)
        self._request = Request(self._folder, replace(run.request.job, probabilities=str(path)))
        inside = node.GetSegmentation()
        self._left = {each: drawn(inside.GetSegment(each)) for each in segment_ids}
        self._steps = self._draw()

    @property
    def gi_running(self) -> bool:
        """Whether a step is under way: then nothing may be closed. As of a generator."""
        return bool(self._steps.gi_running)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Node]:
        return self

    def __next__(self) -> Node:
        """The next volume.

        Raises:
            JobError: whatever went wrong with it: the segments are there, and that is the greater part.
        """
        try:
            return next(self._steps)
        except StopIteration:
            self.close()
            raise
        except EXPECTED_ERRORS as error:
            self.close()
            words = str(error) if isinstance(error, MedSegError) else f"{type(error).__name__}: {error}"
            raise JobError(_("The probabilities could not be shown: {error}").format(error=words)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file and remove it."""
        self._steps.close()  # type: ignore[attr-defined]
        remove_job_folder(self._folder)

    def _draw(self) -> Iterator[Node]:
        settings = self._run.settings
        if settings.probabilities:
            digests = []
            for segment_id in self._ids:  # before there is a threshold that could change a segment
                digests.append(self._digest(segment_id))
                yield None
            specs, manifest = self._run.labels, self._run.bundle.manifest
            for spec, segment_id, digest in zip(specs, self._ids, digests, strict=True):
                pixels = empty_volume(self._run.image.shape)
                for _done in fill_steps(self._every()[manifest.output_of(spec)], pixels):
                    yield None
                affine = self._run.affine_now(self._scene)
                node = show_probability(self._scene, pixels, affine, spec, self._volume())
                if self._segment(segment_id) is not None:
                    link_probability(node, self._node, segment_id, digest)
                yield node
        if settings.entropy:
            overlap = self._run.bundle.manifest.overlapping is not None
            pixels = empty_volume(self._run.image.shape)
            for _done in entropy_steps(self._every(), voxels(pixels), overlap=overlap):
                yield None
            node = show_entropy(self._scene, pixels, self._run.affine_now(self._scene), self._volume())
            if self._node.GetScene() is not None:
                link_entropy(node, self._node)
            yield node

    def _digest(self, segment_id: str) -> str:
        """What the network left of a segment; empty where it was edited already."""
        segment = self._segment(segment_id)
        if segment is None or drawn(segment) != self._left[segment_id]:
            return ""
        return mask_digest(cut_segment(self._node, segment_id))

    def _segment(self, segment_id: str) -> Any:
        return None if self._node.GetScene() is None else self._node.GetSegmentation().GetSegment(segment_id)

    def _volume(self) -> Node:
        return self._scene.GetNodeByID(self._run.volume_id)

    def _every(self) -> NDArray[Any]:
        """All labels; the file stays open while they are referenced, and a closed generator does not reference them."""
        every = read_probabilities(self._request, self._run.image)
        assert every is not None, "only made for jobs that were asked for them"  # noqa: S101
        return every.array


class DeferredVolumes:
    """What is under way; several results may bring volumes at a time.

    Args:
        on_change: called when a volume has come, and at the end.
        say: hears what went wrong.
    """

    def __init__(self, on_change: Callable[[], None], say: Callable[[str], None]) -> None:
        self._on_change, self._say = on_change, say
        self._running: list[Steps[Any]] = []

    @property
    def is_busy(self) -> bool:
        """Whether there is more to come."""
        return any(each.is_running for each in self._running)

    def bring(self, volumes: ProbabilityVolumes) -> None:
        """Draw volumes from now on, one step per turn of the event loop."""
        self._running = [each for each in self._running if each.is_running]
        self._running.append(Steps(volumes, self._came, self._on_change, self._say))

    def stop(self) -> None:
        """Bring nothing more: the scene is being closed, or the panel."""
        for each in self._running:
            each.stop()
        self._running = []

    def _came(self, node: Any) -> None:
        if node is not None:
            self._on_change()

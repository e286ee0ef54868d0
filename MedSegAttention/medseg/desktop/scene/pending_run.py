"""What was sent to the worker, and where its answer belongs: the scene may change before that comes."""

from dataclasses import dataclass

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.results import Mode
from medseg.desktop.state.order import TimePoint
from medseg.desktop.state.settings import DEFAULTS, PanelSettings
from medseg.desktop.worker.job_folder import Request
from medseg.imaging.image import Affine, Image
from medseg.inference.run_plan import result_labels
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.merging import Overlap
from medseg.spec.manifest import LabelSpec


@dataclass(frozen=True, eq=False)
class PendingRun:
    """What was asked for when Apply was pressed."""

    request: Request
    bundle: Bundle
    image: Image  # the first channel: its grid as it was; its voxels are those of the scene
    volume_id: str
    target_id: str | None  # the segmentation to join; None: a new one
    mode: Mode
    is_stale: bool = False  # its scene was closed: ids mean other nodes now
    settings: PanelSettings = DEFAULTS  # says which volumes come along
    time_point: TimePoint | None = None  # of a sequence; None: a volume of its own
    title: str = ""  # what the volume was called
    overlap: Overlap = "allow"  # whether new segments take voxels away from those of the segmentation to join

    @property
    def labels(self) -> tuple[LabelSpec, ...]:
        """The segments that the result has."""
        options = self.request.job.options
        return result_labels(self.image.shape, self.image.affine, self.bundle.manifest, options)

    def affine_now(self, scene: Node) -> Affine:
        """Where the volume lies now; where it lay, if it is gone or was exchanged for another."""
        volume = scene.GetNodeByID(self.volume_id)
        pixels = None if volume is None else volume.GetImageData()
        if pixels is None or pixels.GetDimensions() != self.image.shape:
            return self.image.affine
        return ijk_to_world(volume)

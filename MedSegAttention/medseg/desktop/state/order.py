"""What is asked for in one row of the queue: nodes by their ids, for nothing is copied before its turn comes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from medseg.bundles.catalogue import Bundle
from medseg.desktop.state.settings import PanelSettings
from medseg.spec.import_job import ImportJob


@dataclass(frozen=True)
class TimePoint:
    """Which item of a sequence is segmented, and where its segmentation goes."""

    sequence_id: str  # of the sequence of volumes
    item: int  # counted from 0
    output_id: str  # of the sequence of segmentations


@dataclass(frozen=True, eq=False)
class Order:
    """One run of a model, as the panel held it when Apply was pressed; the scene may change before its turn comes."""

    bundle: Bundle
    volume_ids: tuple[str, ...]  # one a channel, in the model's order
    settings: PanelSettings
    roi_ras_mm: tuple[float, float, float, float, float, float] | None = None  # R-, R+, A-, A+, S-, S+
    roi_voxels: tuple[int, int, int, int, int, int] | None = None  # i, i stop, j, j stop, k, k stop of the volumes
    target_id: str | None = None  # the segmentation to join; None: a new one
    title: str = ""  # what the row is called in the queue
    time_point: TimePoint | None = None  # of a sequence; None: a volume of its own

    @property
    def model_title(self) -> str:
        """What the queue calls the model."""
        return self.bundle.manifest.title

    @property
    def device(self) -> str:
        """Where it was asked to run."""
        return self.settings.device


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingOrder:
    """One training; its cases are written when its turn comes, as they are then.

    Attributes:
        title: of the new model.
        output: its folder.
        pairs: ids of a volume and its segmentation, one a case; empty where ``dataset`` is given.
        dataset: folder of labelled cases on disk.
        start: the model to begin with.
        network: or the network to train from nothing.
        seconds: how long it may train.
        steps: or how many steps, whichever ends first.
        device: where to train.
    """

    title: str
    output: Path
    pairs: tuple[tuple[str, str], ...] = ()
    dataset: Path | None = None
    start: Bundle | None = None
    network: str | None = None
    seconds: float
    steps: int | None = None
    device: str = "auto"
    time_point: None = None

    @property
    def model_title(self) -> str:
        """What the queue calls the model: what it begins with."""
        return self.start.manifest.title if self.start is not None else str(self.network)


@dataclass(frozen=True, eq=False, kw_only=True)
class ImportOrder:
    """One model from elsewhere; ``job.scratch`` is given when its turn comes.

    Attributes:
        job: what to import, and where it goes.
        title: what people will call the new model.
    """

    job: ImportJob
    title: str
    device: str = "cpu"
    time_point: None = None

    @property
    def model_title(self) -> str:
        """What the queue calls the model: what it is made from."""
        return Path(self.job.source).name


AnyOrder: TypeAlias = Order | TrainingOrder | ImportOrder

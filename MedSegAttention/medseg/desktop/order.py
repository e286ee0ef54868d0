"""What is asked for in one row of the queue: nodes by their ids, for nothing is copied before its turn comes."""

from dataclasses import dataclass

from medseg.bundles.catalogue import Bundle
from medseg.desktop.settings import PanelSettings


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

"""What was measured of a model: scores against experts' labels, and times and memory on a device."""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from medseg.spec.errors import ManifestError

DeviceKind: TypeAlias = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Estimate:
    """A mean over cases and the ends of its 95 % interval; None where no case has a value."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentScores:
    """How well one segment is found."""

    segment: str  # its name
    dice: Estimate
    surface_dice: Estimate  # share of both surfaces that lies within 1 mm of the other
    hd95_mm: Estimate
    volume_difference_percent: Estimate  # prediction minus reference, of the reference


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """How well all segments are found in the cases of a data set."""

    segments: tuple[SegmentScores, ...]
    mean_dice: Estimate  # over segments and cases
    mean_hd95_mm: float | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeBias:
    """Whether a segment comes out too large or too small, in millilitres."""

    segment: str
    difference_ml: Estimate  # prediction minus reference
    limits_of_agreement_ml: tuple[float, float] | None = None  # hold 95 % of the differences of single cases


@dataclass(frozen=True, kw_only=True)
class AreaBias:
    """The same for single slices, in square centimetres."""

    segment: str
    difference_cm2: Estimate  # prediction minus reference
    limits_of_agreement_cm2: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class CaseDice:
    """One case with its mean Dice over the segments."""

    case: str
    dice: float
    picture: str = ""  # path from the model card; empty: there is none


@dataclass(frozen=True, kw_only=True)
class DatasetScores:
    """Everything measured on one data set."""

    dataset: str  # in words, with the cases that were used
    plain: ScoreTable  # the cases as they are
    mirrored: ScoreTable | None = None  # the same with left and right exchanged
    volume_bias: tuple[VolumeBias, ...] = ()
    area_bias: tuple[AreaBias, ...] = ()  # of cases that are single slices
    worst_cases: tuple[CaseDice, ...] = ()  # worst first


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What running a model takes on one device; None where it was not measured."""

    device: str  # what its maker calls it
    device_kind: DeviceKind
    seconds_per_case: float | None = None  # median, from image in memory to labels on its grid
    seconds_per_window: float | None = None  # median of one forward pass
    peak_memory_mib: float | None = None  # of the process, of the card where that is a graphics card
    window_memory_mib: float | None = None  # of PyTorch for one window, beside the weights

    def __post_init__(self) -> None:
        """Refuse a figure that cannot have been measured."""
        for each in fields(self):
            figure = getattr(self, each.name)
            if isinstance(figure, int | float) and not figure > 0:
                msg = f"expected a number above 0, or nothing, got {figure!r}"
                raise ManifestError(msg, field=each.name)

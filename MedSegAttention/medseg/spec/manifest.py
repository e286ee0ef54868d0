"""A trained model, described well enough to run it without asking its author."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Triple: TypeAlias = tuple[float, float, float]
IntTriple: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Code:
    """One coded concept, as DICOM and Slicer's terminologies write it."""

    scheme: str  # coding scheme designator, "SCT" for SNOMED CT
    value: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class LabelSpec:
    """One segment: its value in the labelmap, its name, its colour and its codes."""

    value: int  # 1..n in order; 0 is background and never listed
    name: str
    color: IntTriple  # red, green, blue, 0..255
    category: Code  # e.g. SCT 123037004 Anatomical Structure
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One input channel, in the order the network expects."""

    name: str  # e.g. "T1"
    modality: str  # DICOM modality: MR, CT, PT, ...
    pattern: str = ""  # regular expression that input names of this channel match


@dataclass(frozen=True, kw_only=True)
class IntensityRule:
    """How voxel values become what the network was trained on."""

    kind: Literal["none", "zscore", "clip_zscore", "clip_unit", "percentile"]
    lower: float | None = None  # clip: value; percentile: percent, 0..100
    upper: float | None = None
    mean: float | None = None  # clip_zscore: of the training set, after clipping
    std: float | None = None
    nonzero_only: bool = False  # zscore: mean and standard deviation over voxels that are not 0


@dataclass(frozen=True, kw_only=True)
class PostprocessRule:
    """What is done to the labels at the end; volumes in cubic millimetres."""

    keep_largest: bool = False  # per label, only its largest connected component
    min_island_mm3: float = 0.0  # components of a label smaller than this are removed
    fill_holes_mm3: float = 0.0  # background holes inside a label up to this size are filled


@dataclass(frozen=True, kw_only=True)
class ModelManifest:
    """Everything known about a model. Tuples are in the order (i, j, k) of ``orientation``."""

    model_id: str
    title: str
    version: str
    description: str
    network: str  # a key of networks.NETWORKS
    arguments: dict[str, Any] = field(default_factory=dict)
    labels: tuple[LabelSpec, ...]
    channels: tuple[ChannelSpec, ...]
    orientation: str = "RAS"  # directions in which i, j, k grow
    spacing_mm: Triple | None = None  # None: the image's own
    intensity: IntensityRule
    crop_to_body: bool = False
    window_shape: IntTriple
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()  # axes averaged over by default: 0 = i, 1 = j, 2 = k
    postprocess: PostprocessRule = PostprocessRule()
    anatomy: str
    intended_use: str
    licence: str
    authors: str
    training_data: str
    scores: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()

    @property
    def label_count(self) -> int:
        """Number of network outputs, background included."""
        return len(self.labels) + 1

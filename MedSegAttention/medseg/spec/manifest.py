"""A trained model, described well enough to run it without asking its author.

Every class refuses nonsense when it is built: a ``ManifestError`` that names the field.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, Literal, TypeAlias

from medseg.spec.errors import ManifestError
from medseg.spec.imported import ImportRecord
from medseg.spec.labels import MOST_OVERLAPPING
from medseg.spec.labels import Code as Code  # a part of the manifest like those below
from medseg.spec.labels import IntTriple as IntTriple
from medseg.spec.labels import LabelSpec as LabelSpec
from medseg.spec.labels import OverlapRule as OverlapRule
from medseg.spec.labels import Triple as Triple
from medseg.spec.labels import refuse as _refuse
from medseg.spec.labels import require_text as _require_text
from medseg.spec.locating import LocateRule
from medseg.spec.measured import DatasetScores, Timing
from medseg.spec.monai import MonaiRule
from medseg.spec.nnunet import NnunetRule
from medseg.spec.postprocess import PostprocessRule
from medseg.spec.sides import counterparts
from medseg.spec.stages import Composition, check_composition

FOLDED = "background_outputs"  # argument of any network: outputs of helping tissues, which are background in the end
SideExchange: TypeAlias = tuple[int, tuple[int, ...]]
"""The axis across which left and right lie, and which output stands in the place of each in a mirrored patient."""


@dataclass(frozen=True, kw_only=True)
class ChannelSpec:
    """One input channel, in the order the network expects."""

    name: str  # e.g. "T1"
    modality: str  # DICOM modality: MR, CT, PT, CR or DX (taken for one another), ...
    pattern: str = ""  # regular expression that input names of this channel match

    def __post_init__(self) -> None:
        """Refuse a nameless channel and a pattern that does not compile."""
        _require_text(name=self.name, modality=self.modality)
        try:
            re.compile(self.pattern)
        except re.error as error:
            msg = f"expected a regular expression, got {self.pattern!r} ({error})"
            raise ManifestError(msg, field="pattern") from error


@dataclass(frozen=True, kw_only=True)
class IntensityRule:
    """How voxel values become what the network was trained on."""

    kind: Literal["none", "zscore", "clip_zscore", "clip_unit", "percentile"]
    lower: float | None = None  # clip: value; percentile: percent, 0..100
    upper: float | None = None
    mean: float | None = None  # clip_zscore: of the training set, after clipping
    std: float | None = None
    nonzero_only: bool = False  # zscore: mean and standard deviation over voxels that are not 0

    def __post_init__(self) -> None:
        """Refuse a rule whose numbers are missing, superfluous or impossible."""
        if self.kind not in INTENSITY_NUMBERS:
            _refuse("kind", f"one of {', '.join(INTENSITY_NUMBERS)}", self.kind)
        needed = INTENSITY_NUMBERS[self.kind]
        for name in ("lower", "upper", "mean", "std"):
            number = getattr(self, name)
            if (number is not None and isfinite(number)) != (name in needed):
                expected = "a finite number" if name in needed else "nothing"
                _refuse(name, f"{expected} for intensity rule {self.kind!r}", number)
        self._check_bounds()

    def _check_bounds(self) -> None:
        if self.lower is not None and self.upper is not None:
            if not self.lower < self.upper:
                _refuse("upper", f"more than lower, which is {self.lower}", self.upper)
            if self.kind == "percentile" and not (self.lower >= 0 and self.upper <= 100):
                _refuse("lower" if self.lower < 0 else "upper", "a percent 0..100", [self.lower, self.upper])
        if self.std is not None and self.std <= 0:
            _refuse("std", "a positive number", self.std)
        if self.nonzero_only and self.kind != "zscore":
            _refuse("nonzero_only", f"false for intensity rule {self.kind!r}", self.nonzero_only)


INTENSITY_NUMBERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "zscore": (),
    "clip_zscore": ("lower", "upper", "mean", "std"),
    "clip_unit": ("lower", "upper"),
    "percentile": ("lower", "upper"),
}


@dataclass(frozen=True, kw_only=True)
class SliceRule:
    """How a 2D network reads a volume: slice after slice across one axis."""

    axis: int  # slices lie across it: 0 = i, 1 = j, 2 = k; the network's rows and columns are the other two in order
    context: int = 0  # neighbours on each side that the network sees as channels; beyond the border it is repeated
    fit: Literal["windows", "resize"] = "windows"  # windows over each slice, or each slice resized to one window

    def __post_init__(self) -> None:
        """Refuse an axis that does not exist, a negative number of neighbours and an unknown way to fit."""
        if self.axis not in (0, 1, 2):
            _refuse("axis", "0, 1 or 2", self.axis)
        if self.context < 0:
            _refuse("context", "an integer from 0", self.context)
        if self.fit not in ("windows", "resize"):
            _refuse("fit", "one of windows, resize", self.fit)


@dataclass(frozen=True, kw_only=True)
class MedsegFields:
    """What runs a model and MONAI's schema has no field for. Tuples are in the order (i, j, k) of ``orientation``.

    ``air_below`` holds one number a channel, in the input's own intensity units (HU in CT). A window in which every
    voxel of every channel lies below its channel's number is not shown to the network and counts as background.
    None, the default, shows all windows: right for a model whose background needs air, or that segments in it.
    """

    model_id: str
    network: str  # a key of networks.NETWORKS
    arguments: dict[str, Any] = field(default_factory=dict)
    labels: tuple[LabelSpec, ...]
    overlapping: OverlapRule | None = None  # None: each voxel has one label, and output 0 is the background
    channels: tuple[ChannelSpec, ...]
    orientation: str = "RAS"  # directions in which i, j, k grow
    spacing_mm: Triple | None = None  # None: the image's own
    intensity: IntensityRule
    crop_to_body: bool = False
    air_below: tuple[float, ...] | None = None  # a number a channel; None: every window is run
    window_shape: IntTriple
    slices: SliceRule | None = None  # of a 2D network; its window is 1 voxel thick
    overlap: float = 0.5
    nnunet: NnunetRule | None = None  # prepared as nnU-Net does it: orientation and intensity then say nothing
    monai: MonaiRule | None = None  # prepared as MONAI does it: intensity then says nothing
    mirror_axes: tuple[int, ...] = ()  # axes averaged over by default: 0 = i, 1 = j, 2 = k
    postprocess: PostprocessRule = PostprocessRule()
    locate: LocateRule | None = None  # where in a larger image the model applies; None: everywhere
    composition: Composition | None = None  # of a model made of several; ``network`` is then "stages"
    anatomy: str
    licence: str
    scores: tuple[DatasetScores, ...] = ()
    timings: tuple[Timing, ...] = ()
    imported: ImportRecord | None = None  # of a model from elsewhere


@dataclass(frozen=True, kw_only=True)
class ModelManifest(MedsegFields):
    """Everything known about a model."""

    title: str
    version: str
    description: str
    intended_use: str
    authors: str
    training_data: str
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a description that cannot be run."""
        _require_text(model_id=self.model_id, title=self.title, version=self.version, network=self.network)
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.model_id):
            _refuse("model_id", "lower-case letters, digits, dots, dashes and underscores", self.model_id)
        self._check_labels_and_channels()
        self._check_grid()
        if not all(voxels >= 1 for voxels in self.window_shape):
            _refuse("window_shape", "three integers from 1", list(self.window_shape))
        if not 0 <= self.overlap <= 0.9:
            _refuse("overlap", "a number 0..0.9", self.overlap)
        if not set(self.mirror_axes) <= {0, 1, 2} or _repeated(self.mirror_axes):
            _refuse("mirror_axes", "axes out of 0, 1, 2, each at most once", list(self.mirror_axes))
        air = self.air_below
        if air is not None and not (len(air) == len(self.channels) and all(map(isfinite, air))):
            _refuse("air_below", f"{len(self.channels)} finite number(s), one a channel, or nothing", self.air_below)
        if self.slices is not None:
            self._check_slices(self.slices)
        if self.locate is not None:
            self.locate.check_labels(len(self.labels))
            if self.overlapping is not None:
                _refuse("locate", "nothing for labels that overlap", self.locate.template)
        check_composition(self.composition, self.network, self.labels, self.locate, self.overlapping)

    def _check_grid(self) -> None:
        if not is_orientation(self.orientation):
            _refuse("orientation", "three letters, one each of R/L, A/P and S/I", self.orientation)
        if self.spacing_mm is not None and not all(0 < mm < inf for mm in self.spacing_mm):
            _refuse("spacing_mm", "three positive numbers or nothing", list(self.spacing_mm))

    def _check_slices(self, rule: SliceRule) -> None:
        letter = "ijk"[rule.axis]
        if self.window_shape[rule.axis] != 1:
            expected = f"1 voxel along {letter}, since the network reads slices across it"
            _refuse("window_shape", expected, list(self.window_shape))
        if rule.axis in self.mirror_axes:
            expected = f"axes that lie in the slices, which are across {letter}"
            _refuse("mirror_axes", expected, list(self.mirror_axes))
        if self.arguments.get("spatial_dims", 2) != 2:
            _refuse("arguments", "spatial_dims 2 for a network that reads slices", self.arguments["spatial_dims"])

    def _check_labels_and_channels(self) -> None:
        values = [label.value for label in self.labels]
        if self.overlapping is not None:
            self._check_overlapping(self.overlapping, values)
        elif not values or values != list(range(1, len(values) + 1)):
            _refuse("labels", "values 1, 2, ... in order, at least one", values)
        if repeated := _repeated([label.name for label in self.labels]):
            _refuse("labels", "names that differ", repeated)
        if not self.channels:
            _refuse("channels", "at least one", list(self.channels))
        if self.nnunet is not None and self.monai is not None:
            _refuse("monai", "nothing beside nnunet", self.monai)
        if self.nnunet is not None and len(self.nnunet.channels) != len(self.channels):
            _refuse("nnunet", f"{len(self.channels)} channel(s), as in channels", len(self.nnunet.channels))
        if repeated := _repeated([channel.name for channel in self.channels]):
            _refuse("channels", "names that differ", repeated)

    def _check_overlapping(self, rule: OverlapRule, values: list[int]) -> None:
        if not 1 <= len(values) <= MOST_OVERLAPPING or _repeated(values):
            _refuse("labels", f"1 to {MOST_OVERLAPPING} values that differ, of labels that overlap", values)
        if sorted(rule.order) != sorted(values):
            _refuse("overlapping", f"an order of the values of all labels, {sorted(values)}", list(rule.order))

    @property
    def label_count(self) -> int:
        """Number of network outputs, background included; labels that overlap have none."""
        return len(self.labels) + (self.overlapping is None)

    @property
    def network_outputs(self) -> int:
        """Channels of the network's answer: one an output, of several folds of nnU-Net those of each."""
        return self.label_count * (1 if self.nnunet is None else self.nnunet.folds)

    @property
    def interpolates_logits(self) -> bool:
        """Whether what goes back to the image's grid are logits rather than probabilities."""
        return self.nnunet is not None or (self.monai is not None and self.monai.answers == "logits")

    def output_of(self, label: LabelSpec) -> int:
        """The number of a label's channel in the probabilities."""
        return label.value if self.overlapping is None else self.labels.index(label)

    @property
    def located_labels(self) -> tuple[LabelSpec, ...]:
        """The segments of an image in which the model was located: those of every box, or its own."""
        named = () if self.locate is None else tuple(label for box in self.locate.boxes for label in box.labels)
        return named or self.labels

    @property
    def painted_labels(self) -> tuple[LabelSpec, ...]:
        """The labels as they are painted one over the other; in their own order where they do not overlap."""
        if self.overlapping is None:
            return self.labels
        of_value = {label.value: label for label in self.labels}
        return tuple(of_value[value] for value in self.overlapping.order)

    @property
    def side_exchange(self) -> SideExchange | None:
        """What mirroring left and right does to the outputs: labels that have a side become their counterparts.

        None where no label has one, and for models of nnU-Net, which mirrors without exchanging.
        """
        order = list(range(self.label_count))
        outputs = {label.value: self.output_of(label) for label in self.labels}
        for value, other in counterparts(self.labels).items():
            order[outputs[value]] = outputs[other]
        axis = next((n for n, letter in enumerate(self.orientation) if letter in "RL"), None)
        if axis is None or self.nnunet is not None or order == sorted(order):
            return None
        return axis, tuple(order)

    @property
    def network_channels(self) -> int:
        """Number of network inputs: the channels of every slice it sees at once, slice after slice.

        The labels of an earlier stage, one-hot, count too, and channels that are empty.
        """
        previous = 0 if self.nnunet is None else self.nnunet.previous_labels
        empty = 0 if self.monai is None else self.monai.empty_channels
        return (len(self.channels) + previous + empty) * (1 if self.slices is None else 2 * self.slices.context + 1)

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Voxels of a window along the network's own axes: three, or two where it reads slices."""
        across = None if self.slices is None else self.slices.axis
        return tuple(size for axis, size in enumerate(self.window_shape) if axis != across)


def is_orientation(letters: str) -> bool:
    """Whether three letters name the directions in which i, j and k grow, e.g. "RAS" or "PIR"."""
    return len(letters) == 3 and {frozenset("RL"), frozenset("AP"), frozenset("SI")} == {
        pair for pair in map(frozenset, ("RL", "AP", "SI")) for letter in letters if letter in pair
    }


def _repeated(entries: Sequence[str] | Sequence[int]) -> list[str | int]:
    return sorted({entry for entry in entries if list(entries).count(entry) > 1})

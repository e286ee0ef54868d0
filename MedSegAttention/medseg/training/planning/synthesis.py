"""What the values of label maps mean when images are drawn from them, and how far those images go: part of a plan."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg.spec.errors import FieldError, JobError, ManifestError
from medseg.spec.fields import read_record

TISSUES = "tissues.json"
_MOST_VALUES = 255  # maps are kept as bytes


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """One value of the label maps.

    Attributes:
        value: in the maps.
        label: what the network learns there; 0 is background.
        group: values of one group share their brightness, e.g. left and right; None: its own.
        mirror: value on the other side of the body; None: it lies in the middle.
        inside: whether it stays when all around the organ is removed ("skull stripping").
        rim: fluid around the organ, which such software sometimes leaves.
        central: whether images are centred on the box around it and the others that are.
        brightness: in real contrasts, 0..1, e.g. ``{"T1": 0.6}``; part of the images is drawn around one of these.
    """

    value: int
    label: int = 0
    group: str | None = None
    mirror: int | None = None
    inside: bool = True
    rim: bool = False
    central: bool = False
    brightness: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SynthesisRanges:
    """How far the images go: parts 0..1 of the images, lengths in mm, angles in degrees."""

    turn: float = 15.0
    scale: float = 0.15
    shear: float = 0.015
    shift_mm: float = 10.0
    bend_mm: float = 4.0  # standard deviation of the displacements, at most
    mirrored: float = 0.5  # part of the images in which left and right change places
    familiar: float = 0.4  # part drawn around one of the known contrasts
    deviation: float = 0.1  # within a tissue, of the full range, at most
    stripped: float = 0.5  # part without what lies around the organ
    thick: float = 0.35  # part with slices thicker than the voxels are wide
    thickest_mm: float = 7.0
    blur_mm: tuple[float, float] = (0.4, 1.6)  # standard deviation of the point spread
    bias: float = 0.4  # logarithm of the coil's sensitivity, at most
    noise: float = 0.03  # of the full range, at most
    gamma: float = 0.25  # standard deviation of its logarithm

    def __post_init__(self) -> None:
        """Refuse ranges no image can have."""
        for name in ("mirrored", "familiar", "stripped", "thick"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"expected a part 0..1 of the images, got {getattr(self, name)!r}"
                raise ManifestError(msg, field=name)
        for name in ("turn", "shear", "shift_mm", "bend_mm", "deviation", "thickest_mm", "bias", "noise", "gamma"):
            if getattr(self, name) < 0:
                msg = f"expected 0 or more, got {getattr(self, name)!r}"
                raise ManifestError(msg, field=name)
        if not 0 <= self.scale < 1:
            msg = f"expected a part 0..1, below 1, got {self.scale!r}"
            raise ManifestError(msg, field="scale")
        if not 0 < self.blur_mm[0] <= self.blur_mm[1]:
            msg = f"expected two positive lengths in order, got {list(self.blur_mm)}"
            raise ManifestError(msg, field="blur_mm")


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """How images are drawn from label maps.

    Attributes:
        tissues: one for each value of the maps; the background 0 may be left out.
        ranges: how far the images go.
        helpers: the last of the labels, which the network learns beside the others and which are background in the
            model: whole tissues of which an image shows a part.
    """

    tissues: tuple[Tissue, ...]
    ranges: SynthesisRanges = field(default_factory=SynthesisRanges)
    helpers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse tissues that contradict each other."""
        by_value = {tissue.value: tissue for tissue in self.tissues}
        if len(by_value) < len(self.tissues):
            msg = "every value of the label maps stands once, but one is there twice"
            raise ManifestError(msg, field="tissues")
        if len(by_value) > _MOST_VALUES:
            msg = f"expected at most {_MOST_VALUES} values, got {len(by_value)}"
            raise ManifestError(msg, field="tissues")
        for tissue in self.tissues:
            other = None if tissue.mirror is None else by_value.get(tissue.mirror)
            if tissue.mirror is not None and (other is None or other.mirror != tissue.value):
                msg = f"values {tissue.value} and {tissue.mirror} are no pair: each names the other as its mirror"
                raise ManifestError(msg, field="tissues")


@dataclass(frozen=True, kw_only=True)
class TissueFile(Synthesis):
    """What ``tissues.json`` says: tissues, perhaps ranges, and the names of the labels 1, 2, ..."""

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse labels without a name or without a tissue."""
        super().__post_init__()
        learned = {tissue.label for tissue in self.tissues} - {0}
        if learned != set(range(1, len(self.labels) + 1)):
            msg = f"expected a tissue for each of the {len(self.labels)} labels from 1, got {sorted(learned)}"
            raise ManifestError(msg, field="tissues")
        if self.helpers != self.labels[len(self.labels) - len(self.helpers) :] or len(self.helpers) == len(self.labels):
            msg = f"expected the last of the labels, and not all of them, got {list(self.helpers)}"
            raise ManifestError(msg, field="helpers")


def read_tissues(path: Path) -> TissueFile:
    """Read what label maps mean.

    Raises:
        JobError: when the file is missing, not JSON, or a field is unknown, missing or impossible.
    """
    try:
        return read_record(TissueFile, json.loads(path.read_text(encoding="utf-8-sig")), "")
    except (OSError, ValueError, FieldError) as error:
        msg = f"{path} does not say what label maps mean ({error}); see docs/how-to/train.md for an example"
        raise JobError(msg) from error


def plain_tissues(values: Sequence[int], names: dict[int, str]) -> TissueFile:
    """Every value but 0 is a label with a brightness of its own; nothing has a side.

    Args:
        values: of the maps, 0 left out.
        names: of some of them.
    """
    tissues = tuple(Tissue(value=value, label=n, central=True) for n, value in enumerate(values, start=1))
    return TissueFile(
        labels=tuple(names.get(value, f"label {value}") for value in values),
        tissues=tissues,
        ranges=SynthesisRanges(mirrored=0.0),
    )

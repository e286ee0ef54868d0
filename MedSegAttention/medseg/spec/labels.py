"""The segments of a model: values, names, colours and codes; and how a manifest refuses nonsense."""

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from medseg.spec.errors import ManifestError

Triple: TypeAlias = tuple[float, float, float]
IntTriple: TypeAlias = tuple[int, int, int]


def refuse(name: str, expected: str, found: object) -> NoReturn:
    """Raise a ``ManifestError`` that names the field, what was expected and what was found."""
    msg = f"expected {expected}, got {found!r}"
    raise ManifestError(msg, field=name)


def require_text(**texts: str) -> None:
    """Refuse texts that are empty."""
    for name, text in texts.items():
        if not text.strip():
            refuse(name, "some text", text)


@dataclass(frozen=True)
class Code:
    """One coded concept, as DICOM and Slicer's terminologies write it."""

    scheme: str  # coding scheme designator, "SCT" for SNOMED CT
    value: str
    meaning: str

    def __post_init__(self) -> None:
        """Refuse a code with an empty part."""
        require_text(scheme=self.scheme, value=self.value, meaning=self.meaning)


@dataclass(frozen=True, kw_only=True)
class OverlapRule:
    """How outputs that may overlap become segments: each is a yes or no of its own, and there is no background.

    Attributes:
        threshold: a voxel belongs to a segment whose probability, the sigmoid of its output, is at least this.
        order: the values of all labels, in the order in which they are painted where there is one number a voxel
            alone: a later one covers those before.
    """

    threshold: float = 0.5
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a threshold that nothing or everything reaches."""
        if not 0 < self.threshold < 1:
            refuse("threshold", "a number between 0 and 1", self.threshold)


MOST_OVERLAPPING = 31
"""Labels that may overlap: a voxel's are the bits of one integer."""


@dataclass(frozen=True, kw_only=True)
class LabelSpec:
    """One segment: its value in the labelmap, its name, its colour and its codes."""

    value: int  # 1..n in order, of overlapping ones any; 0 is background and never listed
    name: str
    color: IntTriple  # red, green, blue, 0..255
    category: Code  # e.g. SCT 123037004 Anatomical Structure
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None

    def __post_init__(self) -> None:
        """Refuse the background's value, a nameless label and what is not a colour."""
        if self.value < 1:
            refuse("value", "an integer from 1 (0 is background and is not listed)", self.value)
        require_text(name=self.name)
        if len(self.color) != 3 or not all(0 <= part <= 255 for part in self.color):
            refuse("color", "three integers 0..255 (red, green, blue)", list(self.color))

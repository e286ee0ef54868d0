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

    def __post_init__(self) -> None:
        """Refuse the background's value, a nameless label and what is not a colour."""
        if self.value < 1:
            refuse("value", "an integer from 1 (0 is background and is not listed)", self.value)
        require_text(name=self.name)
        if len(self.color) != 3 or not all(0 <= part <= 255 for part in self.color):
            refuse("color", "three integers 0..255 (red, green, blue)", list(self.color))

"""What is done to the labels at the end: a model brings such a rule, and a user may choose another.

It stands apart from the manifest so that the help of the command imports no more than the options.
"""

from dataclasses import dataclass

from medseg.spec.errors import ManifestError
from medseg.spec.option import convert_numbers, faults, option


@dataclass(frozen=True, kw_only=True)
class PostprocessRule:
    """What is done to the labels at the end; volumes in cubic millimetres."""

    keep_largest: bool = option(
        False,
        "Of each segment, keep only the piece with the most voxels",
        title="Keep only the largest piece",
    )
    min_island_mm3: float = option(
        0.0,
        "Pieces of a segment smaller than this volume are removed; 0 removes none",
        title="Remove pieces below",
        unit="mm3",
        low=0,
    )
    fill_holes_mm3: float = option(
        0.0,
        "Holes inside a segment up to this volume are filled; 0 fills none",
        title="Fill holes up to",
        unit="mm3",
        low=0,
    )

    def __post_init__(self) -> None:
        """Refuse negative volumes."""
        for name, rule, value in faults(self):
            msg = f"expected {rule.removeprefix('is ')}, got {value!r}"
            raise ManifestError(msg, field=name)
        convert_numbers(self)

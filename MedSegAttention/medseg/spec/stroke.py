"""A stroke of a user who corrects a segmentation, and the document that keeps strokes for a replay."""

from dataclasses import dataclass

from medseg.spec.errors import FieldError
from medseg.spec.labels import Code, Triple

USUAL_REACH_MM = 10.0
MOST_POINTS = 100_000
BACKGROUND = "background"
"""The name that a stroke of no segment carries."""


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """Places that a user painted with one label.

    Attributes:
        label: name of the segment; ``BACKGROUND``: no segment belongs here.
        points: where it went, RAS mm of the world.
        code: of the segment, by which it is found in a result whose names differ.
        remove: the places are "not this segment": its voxels become background, and other segments stay as they are.
        radius_mm: of the brush: voxels whose centre is so near to a point belong to the stroke. The voxel that holds a
            point always does.
        reach_mm: what is further from the stroke's voxels than this never changes.
    """

    label: str
    points: tuple[Triple, ...]
    code: Code | None = None
    remove: bool = False
    radius_mm: float = 0.0
    reach_mm: float = USUAL_REACH_MM

    def __post_init__(self) -> None:
        """Refuse a stroke that means nothing."""
        if not self.label.strip():
            _refuse("label", "the name of a segment", self.label)
        if not 0 < len(self.points) <= MOST_POINTS:
            _refuse("points", f"1 to {MOST_POINTS:,} places", len(self.points))
        if not 0 <= self.radius_mm <= 100:
            _refuse("radius_mm", "0 to 100", self.radius_mm)
        if not 1 <= self.reach_mm <= 100:
            _refuse("reach_mm", "1 to 100", self.reach_mm)
        if self.remove and self.label == BACKGROUND:
            _refuse("remove", f"false for {BACKGROUND}, which cannot be taken away", self.remove)


@dataclass(frozen=True, kw_only=True)
class StrokeList:
    """The document of strokes, in the order in which they were painted."""

    strokes: tuple[Stroke, ...]
    version: int = 1

    def __post_init__(self) -> None:
        """Refuse a document of a later version."""
        if self.version != 1:
            _refuse("version", "1; update medseg for later ones", self.version)


def _refuse(name: str, expected: str, found: object) -> None:
    msg = f"expected {expected}, got {found!r}"
    raise FieldError(msg, field=name)

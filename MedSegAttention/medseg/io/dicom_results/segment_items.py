"""What a DICOM SEG says of its segments: numbers, names, colours and codes."""

from typing import Any

from medseg.io.dicom_results.codes import first_code
from medseg.spec.labels import Code, LabelSpec
from medseg.spec.same_segment import UNCODED

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
GREY = (128, 128, 128)  # of segments that recommend no colour


def segments_of(data: Any) -> tuple[LabelSpec, ...]:
    """The segments; 0 is the background of a label map."""
    return tuple(_spec(item) for item in data.SegmentSequence if int(item.SegmentNumber) > 0)


def _spec(item: Any) -> LabelSpec:
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [None])[0]
    region = (item.get("AnatomicRegionSequence") or [None])[0]
    number = int(item.SegmentNumber)
    return LabelSpec(
        value=number,
        name=str(item.get("SegmentLabel") or f"segment {number}"),
        color=_color(item.get("RecommendedDisplayCIELabValue")),
        category=first_code(item, "SegmentedPropertyCategoryCodeSequence") or ANATOMY,
        type=first_code(item, "SegmentedPropertyTypeCodeSequence") or UNCODED,
        type_modifier=first_code(kind, "SegmentedPropertyTypeModifierCodeSequence"),
        region=first_code(item, "AnatomicRegionSequence"),
        region_modifier=first_code(region, "AnatomicRegionModifierSequence"),
    )


def _color(value: Any) -> tuple[int, int, int]:
    if not value:
        return GREY
    from highdicom.color import CIELabColor

    red, green, blue = CIELabColor.from_dicom_value([int(part) for part in value]).to_rgb(clip=True)
    return red, green, blue

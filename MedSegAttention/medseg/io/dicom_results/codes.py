"""Our codes as DICOM's, and back."""

from typing import Any

from medseg.spec.labels import Code, LabelSpec

LONGEST = 64  # characters of a label or of a code's meaning (LO)


def concept(code: Code) -> Any:
    """A code as highdicom's ``CodedConcept``."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning[:LONGEST])


def read_code(item: Any) -> Code | None:
    """A code from an item of a code sequence; None where a part is missing."""
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    scheme, meaning = item.get("CodingSchemeDesignator") or "", item.get("CodeMeaning") or value
    return Code(str(scheme), str(value), str(meaning)) if value and scheme else None


def first_code(item: Any, sequence: str) -> Code | None:
    """The code in a sequence of an item; None where there is none."""
    found = item.get(sequence) if item is not None else None
    return read_code(found[0]) if found else None


def add_modifiers(description: Any, spec: LabelSpec) -> None:
    """Put the modifiers of type and region (left, anterior) into a segment: highdicom has no argument for them."""
    if spec.type_modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(spec.type_modifier)]
    if spec.region is not None and spec.region_modifier is not None:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [concept(spec.region_modifier)]

"""Which list of codes a segment's code is in: Slicer's editor of terminology opens on None in another one.

Codes that are in no list of Slicer's are in one of our own, ``anatomy.term.json`` beside this file, which the extension
loads when Slicer starts. It is written by ``Testing/update_terminology.py``.
"""

import json
from functools import lru_cache
from pathlib import Path

from medseg.spec.labels import LabelSpec

GENERAL_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
MASTER_CONTEXT = "Segmentation category and type - DICOM master list"
OWN_CONTEXT = "Segmentation category and type - MedSegAttention"
OWN_LIST = Path(__file__).with_name("anatomy.term.json")
# Of the types in Slicer's general list the master list lacks these two, and has all others with all their modifiers.
_ONLY_GENERAL = frozenset({"119406000", "289925000"})  # thalamus, waste material


def types_context(spec: LabelSpec) -> str:
    """The list that holds the type of a segment, with its modifier.

    Compared with the lists of Slicer 5.11 to 5.13 (its module Terminologies).
    """
    modifier = None if spec.type_modifier is None else spec.type_modifier.value
    if (spec.category.value, spec.type.value, modifier) in _own_codes():
        return OWN_CONTEXT
    if spec.type.value in _ONLY_GENERAL:
        return GENERAL_CONTEXT
    return MASTER_CONTEXT


@lru_cache(maxsize=1)
def _own_codes() -> frozenset[tuple[str, str, str | None]]:
    """Category, type and modifier or None."""
    found: set[tuple[str, str, str | None]] = set()
    for category in json.loads(OWN_LIST.read_text(encoding="utf-8"))["SegmentationCodes"]["Category"]:
        for kind in category["Type"]:
            code = category["CodeValue"], kind["CodeValue"]
            found |= {(*code, modifier["CodeValue"]) for modifier in kind.get("Modifier", [])}
            if not kind.get("isInSlicersLists"):
                found.add((*code, None))
    return frozenset(found)

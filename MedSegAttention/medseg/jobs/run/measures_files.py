"""The measures of a case as a table (.csv) or a document (.json); as a DICOM SR they are written beside a DICOM SEG."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medseg.imaging.measure import SegmentMeasures
from medseg.spec.algorithm import Algorithm
from medseg.spec.errors import JobError
from medseg.spec.labels import Code, LabelSpec

MEASURE_SUFFIXES = (".csv", ".json", ".dcm")
_NUMBERS = ("voxels", "volume_ml", "area_cm2", "mean_intensity")
_CODES = ("category", "type", "type_modifier", "region", "region_modifier")
_DIGITS = 6


def check_measures_name(path: Path) -> None:
    """Refuse a name that does not say how to write; raises ``JobError``."""
    if path.suffix.lower() not in MEASURE_SUFFIXES or path.name.lower() in MEASURE_SUFFIXES:
        endings = ", ".join(MEASURE_SUFFIXES)
        msg = f"{path}: the name of a file of measures ends in {endings}, got {path.name!r}; choose one of these"
        raise JobError(msg)


def write_measures(
    path: Path, measures: Sequence[SegmentMeasures], specs: Sequence[LabelSpec], algorithm: Algorithm | None
) -> None:
    """Write a line or an entry a segment; a number that nobody knows is empty or null.

    Args:
        path: its ending says the format, .csv or .json.
        measures: of the segments.
        specs: the segments, in the same order.
        algorithm: what made them, for .json.
    """
    text = _table(measures, specs) if path.suffix.lower() == ".csv" else _document(measures, specs, algorithm)
    path.write_text(text, encoding="utf-8", newline="\n")


def _table(measures: Sequence[SegmentMeasures], specs: Sequence[LabelSpec]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["segment", "label", *_NUMBERS, *_CODES])
    for row, spec in zip(measures, specs, strict=True):
        numbers = ("" if value is None else value for value in _numbers(row).values())
        writer.writerow([row.name, row.value, *numbers, *(_words(getattr(spec, name)) for name in _CODES)])
    return text.getvalue()


def _document(measures: Sequence[SegmentMeasures], specs: Sequence[LabelSpec], algorithm: Algorithm | None) -> str:
    segments = [
        {"segment": row.name, "label": row.value, **_numbers(row), "codes": _codes(spec)}
        for row, spec in zip(measures, specs, strict=True)
    ]
    made_by = None if algorithm is None else asdict(algorithm)
    return json.dumps({"algorithm": made_by, "segments": segments}, indent=2, ensure_ascii=False) + "\n"


def _numbers(row: SegmentMeasures) -> dict[str, float | int | None]:
    found = {name: getattr(row, name) for name in _NUMBERS}
    return {name: None if math.isnan(value) else round(value, _DIGITS) for name, value in found.items()}


def _codes(spec: LabelSpec) -> dict[str, Any]:
    found: dict[str, Code | None] = {name: getattr(spec, name) for name in _CODES}
    return {name: asdict(code) for name, code in found.items() if code is not None}


def _words(code: Code | None) -> str:
    return "" if code is None else f"{code.scheme} {code.value} {code.meaning}"

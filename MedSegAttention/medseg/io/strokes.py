"""Strokes in a file of their own, and beside the segments of a .seg.nrrd."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from medseg.io.atomic import replacing
from medseg.io.nrrd_header import parse_header
from medseg.spec.errors import FieldError, ImageError
from medseg.spec.fields import read_record
from medseg.spec.stroke import Stroke, StrokeList

HEADER_KEY = "MedSegAttention_Strokes"  # of a .seg.nrrd


def encode_strokes(strokes: Sequence[Stroke]) -> str:
    """One line of JSON, ``{"version": 1, "strokes": [...]}``; what is as usual is left out."""
    usual = {"code": None, "remove": False, "radius_mm": 0.0}
    records = [
        {key: value for key, value in asdict(stroke).items() if usual.get(key, ...) != value} for stroke in strokes
    ]
    return json.dumps({"version": StrokeList.version, "strokes": records}, allow_nan=False)


def decode_strokes(text: str) -> tuple[Stroke, ...]:
    """Read strokes back.

    Raises:
        FieldError: when the text is not JSON, or a field is unknown, missing, of a wrong type or impossible.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"strokes are a JSON document, got {text[:80]!r} ({error})"
        raise FieldError(msg) from error
    return read_record(StrokeList, value, "").strokes


def read_strokes(path: Path) -> tuple[Stroke, ...]:
    """Read a file of strokes, or those that a .seg.nrrd keeps.

    Raises:
        FieldError: as ``decode_strokes``; names the file.
        ImageError: when it cannot be read.
    """
    try:
        return decode_strokes(_text_of(path))
    except FieldError as error:
        raise FieldError(error.problem, field=f"{path}: {error.field}".rstrip(": ")) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: strokes are a file of JSON in UTF-8 that can be read ({error}); check the path"
        raise ImageError(msg) from error


def _text_of(path: Path) -> str:
    if path.name.lower().endswith(".seg.nrrd"):
        return parse_header(path).pairs.get(HEADER_KEY, encode_strokes(()))
    return path.read_text(encoding="utf-8")


def write_strokes(path: Path, strokes: Sequence[Stroke], *, overwrite: bool = False) -> None:
    """Write a file of strokes; raises as ``replacing`` does."""
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(encode_strokes(strokes) + "\n", encoding="utf-8")


def strokes_in_header(fields: Mapping[str, str]) -> tuple[Stroke, ...]:
    """The strokes that the header of a .seg.nrrd keeps; none where it says nothing.

    Raises:
        FieldError: as ``decode_strokes``.
    """
    return decode_strokes(fields[HEADER_KEY]) if HEADER_KEY in fields else ()

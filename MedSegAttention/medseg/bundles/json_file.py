"""One JSON object from a file: strict, and every way in which the file can be wrong has its sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.spec.errors import ManifestError
from medseg.spec.fields import shorten


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ManifestError: when the file is missing or not UTF-8, is not JSON, repeats a name, or holds NaN, an infinity
            or something else than an object.
    """
    try:
        document = json.loads(
            path.read_text(encoding="utf-8-sig"), object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant
        )
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); a bundle needs this file"
        raise ManifestError(msg) from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        msg = f"{path} is not valid JSON: {error}"
        raise ManifestError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path} must hold one JSON object, got {shorten(document)}"
        raise ManifestError(msg)
    return document


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        msg = f"the name {repeated!r} occurs twice in one object"
        raise ValueError(msg)
    return dict(pairs)


def _refuse_constant(text: str) -> Any:
    msg = f"{text} is not a JSON number"
    raise ValueError(msg)

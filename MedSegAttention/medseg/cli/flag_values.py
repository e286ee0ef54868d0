"""What the texts of the flags of ``medseg train`` and ``medseg models import`` mean."""

import json
import math
import re
from pathlib import Path
from typing import Any

from medseg.spec.errors import FieldError, JobError, ManifestError
from medseg.spec.fields import read_value
from medseg.spec.manifest import INTENSITY_NUMBERS, ChannelSpec, IntensityRule, IntTriple, LabelSpec, SliceRule, Triple


def read_labels(text: str | None) -> tuple[LabelSpec, ...] | None:
    """Labels from names with commas, or from a JSON file.

    The file holds a list of names, a list of labels as in ``metadata.json``, or an object value -> name. A first name
    "background" is left out: it is value 0.

    Raises:
        JobError: if it is none of these.
    """
    if text is None:
        return None
    from medseg.bundles.label_specs import label_specs

    content = _json_file(Path(text), "--labels") if text.endswith(".json") else text.split(",")
    if isinstance(content, dict):
        content = _in_order(content, text)
    if isinstance(content, list) and content and all(isinstance(entry, dict) for entry in content):
        try:
            labels: tuple[LabelSpec, ...] = read_value(tuple[LabelSpec, ...], content, "labels")
        except FieldError as error:
            msg = f"{text}: {error}"
            raise JobError(msg) from error
        return labels
    is_list_of_names = isinstance(content, list) and all(isinstance(entry, str) for entry in content)
    names = [entry.strip() for entry in content] if is_list_of_names else []
    names = names[1:] if names and names[0].lower() == "background" else names
    if not names or not all(names):
        msg = f"--labels takes names with commas or a JSON file of names, got {text!r}; write e.g. spleen,liver"
        raise JobError(msg)
    return label_specs(names)


def _in_order(content: dict[str, Any], text: str) -> list[Any]:
    """Names by value, 1, 2, ... without a gap; 0 is the background and may be missing."""
    by_value = {key: name for key, name in content.items() if key != "0"}
    if set(by_value) != {str(value) for value in range(1, len(by_value) + 1)}:
        msg = f"{text}: labels have the values 1, 2, ... without a gap, got {', '.join(content)}"
        raise JobError(msg)
    return [by_value[str(value)] for value in range(1, len(by_value) + 1)]


def read_channels(text: str | None) -> tuple[ChannelSpec, ...] | None:
    """Channels from ``name:modality`` with commas, e.g. ``T1:MR,T2:MR``; raises ``JobError`` if it is not that."""
    if text is None:
        return None
    pairs = [part.strip().partition(":") for part in text.split(",")]
    if not all(name and modality for name, _, modality in pairs):
        msg = f"--channels takes name:modality with commas, got {text!r}; write e.g. T1:MR,T2:MR"
        raise JobError(msg)
    return tuple(ChannelSpec(name=name, modality=modality) for name, _, modality in pairs)


def read_intensity(text: str | None) -> IntensityRule | None:
    """An intensity rule from its kind and its numbers, e.g. ``clip_unit:-57,164`` or ``zscore:nonzero``.

    Raises:
        JobError: if there is no such rule.
    """
    if text is None:
        return None
    kind, _, rest = text.partition(":")
    parts = [part.strip() for part in rest.split(",") if part.strip()]
    nonzero = kind == "zscore" and parts == ["nonzero"]
    names = INTENSITY_NUMBERS.get(kind)
    try:
        numbers = [] if nonzero else [float(part) for part in parts]
    except ValueError:
        names = None
    if names is None or len(numbers) != len(names):
        msg = (
            f"--intensity takes none, zscore, zscore:nonzero, clip_unit:LOWER,UPPER, percentile:LOWER,UPPER or "
            f"clip_zscore:LOWER,UPPER,MEAN,STD, got {text!r}"
        )
        raise JobError(msg)
    try:
        return IntensityRule(kind=kind, nonzero_only=nonzero, **dict(zip(names, numbers, strict=True)))  # type: ignore[arg-type]
    except ManifestError as error:
        msg = f"--intensity {text}: {error}"
        raise JobError(msg) from error


def read_spacing(text: str | None) -> Triple | None:
    """Three positive lengths in mm, with commas; raises ``JobError`` if it is not that."""
    if text is None:
        return None
    try:
        lengths = [float(part) for part in text.split(",")]
    except ValueError:
        lengths = []
    if len(lengths) != 3 or not all(0 < mm < math.inf for mm in lengths):
        msg = f"--spacing takes three sizes in mm along i, j, k with commas, got {text!r}; write e.g. 1,1,1"
        raise JobError(msg)
    i, j, k = lengths
    return i, j, k


def read_voxels(text: str | None, flag: str) -> IntTriple | None:
    """Three positive numbers of voxels, with commas; raises ``JobError`` if it is not that; names the flag."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        msg = f"{flag} takes three numbers of voxels along i, j, k with commas, got {text!r}; write e.g. 32,48,32"
        raise JobError(msg)
    i, j, k = (int(part) for part in parts)
    return i, j, k


def read_duration(text: str | None) -> float:
    """Seconds of e.g. ``90s``, ``30m`` or ``2h``; no limit for None; raises ``JobError`` if it is none of these."""
    if text is None:
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None or float(match[1]) == 0:
        msg = f"--time-limit takes a number with s, m or h, got {text!r}; write e.g. 30m"
        raise JobError(msg)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def read_axis(text: str | None) -> int | None:
    """The axis that slices lie across, by its letter; raises ``JobError`` if it is not one."""
    if text is None:
        return None
    if text not in ("i", "j", "k"):
        msg = f"slices lie across i (sagittal), j (coronal) or k (axial), got {text!r}; write e.g. --slices k"
        raise JobError(msg)
    return "ijk".index(text)


def read_slices(text: str | None) -> SliceRule | None:
    """How a 2D network reads slices: axis, way to fit and neighbours, e.g. ``k``, ``k:windows`` or ``k:resize:1``.

    Raises:
        JobError: if it is not that.
    """
    if text is None:
        return None
    axis, fit, context, *rest = [*text.split(":"), "", ""]
    fit, context = fit or "resize", context or "0"
    if axis not in ("i", "j", "k") or fit not in ("resize", "windows") or not context.isdigit() or any(rest):
        msg = (
            f"--slices takes i, j or k, then :resize or :windows, then :NEIGHBOURS, got {text!r}; write e.g. k:resize:1"
        )
        raise JobError(msg)
    return SliceRule(axis="ijk".index(axis), fit=fit, context=int(context))  # type: ignore[arg-type]


def read_arguments(text: str | None) -> dict[str, Any]:
    """A network's arguments from JSON text or a JSON file; raises ``JobError`` if it is not one JSON object."""
    if text is None:
        return {}
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except ValueError as error:
            msg = f"--arguments is not valid JSON: {error}"
            raise JobError(msg) from error
    else:
        content = _json_file(Path(text), "--arguments")
    if not isinstance(content, dict):
        msg = f"--arguments takes one JSON object, got {text!r}"
        raise JobError(msg)
    return content


def _json_file(path: Path, flag: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        msg = f"{flag}: {path} cannot be read ({error.strerror}); check the path"
        raise JobError(msg) from error
    except ValueError as error:
        msg = f"{flag}: {path} is not valid JSON: {error}"
        raise JobError(msg) from error

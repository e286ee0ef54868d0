"""The text header of NRRD: fields, key/value pairs, axes; teem.sourceforge.net/nrrd/format.html."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.imaging.image import Affine
from medseg.io.packed import first_bytes
from medseg.io.stored import LPS_TO_RAS, refusal

MAX_HEADER_BYTES = 1 << 22
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
DTYPES = {name: code for code, names in TYPES.items() for name in names}
SPACES_TO_RAS = {
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
}
SPATIAL_KINDS = {"domain", "space"}
CHANNEL_KINDS = {"vector", "2-vector", "3-vector", "4-vector", "covariant-vector", "scalar", "stub", "none", "???"}
FRAME_KINDS = {"list", "time", "point"}
UNITS_MM = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
}
_ESCAPES = {"\\n": "\n", "\\\\": "\\"}


@dataclass(frozen=True, eq=False)
class NrrdHeader:
    """What a NRRD header says; ``fields`` in lower case, ``pairs`` (written ``key:=value``) as they are."""

    fields: dict[str, str]
    pairs: dict[str, str]
    length: int  # bytes up to and including the empty line


def parse_header(path: Path) -> NrrdHeader:
    """Read the header.

    Raises:
        ImageError: if it has no NRRD magic, no end or a line that is neither field nor pair.
    """
    head = first_bytes(path, MAX_HEADER_BYTES)
    if not head.startswith(b"NRRD000"):
        raise refusal(path, f"a NRRD file starts with NRRD000, got {head[:8]!r}; this is not NRRD")
    end = re.search(rb"\r?\n\r?\n", head)
    text = head[: end.start()] if end else head
    if end is None and b"data file:" not in text.lower() and b"datafile:" not in text.lower():
        raise refusal(
            path, "a NRRD header ends with an empty line, and there is none; the file is cut off, get a whole copy"
        )
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.decode("utf-8", errors="replace").splitlines()[1:]:
        key, found, value = line.partition(":")
        if line.startswith("#") or not line.strip():
            continue
        if not found:
            raise refusal(path, f"a NRRD header line reads 'field: value', got {line[:60]!r}; export the image again")
        if value.startswith("="):
            pairs[unescape(key)] = unescape(value[1:])
        else:
            fields[key.strip().lower().replace("datafile", "data file")] = value.strip()
    return NrrdHeader(fields, pairs, end.end() if end else len(head))


def escape(text: str) -> str:
    r"""Text as it stands in a key/value pair: a newline as ``\n``, a backslash twice."""
    return text.replace("\\", "\\\\").replace("\r", "").replace("\n", "\\n")


def unescape(text: str) -> str:
    """Undo ``escape``."""
    return re.sub(r"\\n|\\\\", lambda found: _ESCAPES[found.group()], text)


def dtype_of(path: Path, header: NrrdHeader) -> np.dtype[np.generic]:
    """Voxel type and byte order.

    Raises:
        ImageError: if the type is unknown, or has several bytes and no order.
    """
    name = _required(path, header, "type").lower()
    if name not in DTYPES:
        raise refusal(
            path, f"a NRRD type is one of {', '.join(names[0] for names in TYPES.values())}, got {name!r}; export again"
        )
    dtype = np.dtype(DTYPES[name])
    order = header.fields.get("endian", "little" if dtype.itemsize == 1 else "").lower()
    text = header.fields.get("encoding", "raw").lower() in {"ascii", "text", "txt"}
    if order not in {"little", "big"} and not text:
        raise refusal(path, f"the byte order (endian) is little or big, got {order!r}; export the image again")
    return dtype.newbyteorder(">" if order == "big" else "<")


def sizes_of(path: Path, header: NrrdHeader) -> tuple[int, ...]:
    """Samples along each axis, fastest first.

    Raises:
        ImageError: if they are missing, not positive, or disagree with the dimension.
    """
    given = _required(path, header, "sizes")
    numbers = [_numbers(path, "sizes", [word])[0] for word in given.split()]
    if not all(number.is_integer() for number in numbers):  # neither is inf nor nan
        raise refusal(path, f"sizes are whole numbers, got {given!r}; export the image again")
    sizes = tuple(int(number) for number in numbers)
    dimension = header.fields.get("dimension", str(len(sizes)))
    if dimension != str(len(sizes)) or min(sizes, default=0) < 1:
        rule = f"each of the {dimension} dimensions has a size of at least 1, got {given!r}; export the image again"
        raise refusal(path, rule)
    return sizes


def axis_roles(path: Path, header: NrrdHeader, count: int) -> list[str]:
    """For each axis "space", "channel" or "frame".

    Raises:
        ImageError: for colours, complex numbers, tensors and anything else that is not one real number a voxel.
    """
    kinds = header.fields.get("kinds", "").lower().split()
    directions = header.fields.get("space directions", "").replace(" ", "").lower()
    along = [part == "none" for part in re.findall(r"none|\([^)]*\)", directions)]
    if len(kinds) not in {0, count} or len(along) not in {0, count}:
        rule = (
            f"kinds and space directions have one entry for each of {count} axes, got {kinds}; export the image again"
        )
        raise refusal(path, rule)
    outside = along or [kind not in SPATIAL_KINDS | {"???", "none"} for kind in kinds] or [n >= 3 for n in range(count)]
    roles = []
    for axis, is_outside in enumerate(outside):
        kind = kinds[axis] if kinds else "list"
        if not is_outside:
            roles.append("space")
        elif kind in CHANNEL_KINDS:
            roles.append("channel")
        elif kind in FRAME_KINDS | SPATIAL_KINDS:
            roles.append("frame")
        else:
            raise refusal(
                path, f"a voxel is one real number, and an axis here is of kind {kind!r}; save one grey channel alone"
            )
    return roles


def affine_of(path: Path, header: NrrdHeader, spatial: Sequence[int]) -> tuple[Affine, list[str]]:
    """Voxel -> RAS mm for the spatial axes, not yet checked to be invertible, and warnings.

    Args:
        path: the file, for the messages.
        header: its header.
        spatial: which of the axes are the three in space, fastest first.

    Raises:
        ImageError: if a vector is malformed, a unit unknown or the space not anatomical.
    """
    affine = np.eye(4)
    if "space directions" not in header.fields:
        return _bare_spacing(path, header, spatial)
    warnings = []
    space = header.fields.get("space", "").lower().removesuffix("-time")
    if not space:
        space = "left-posterior-superior"
        warnings.append(f"{path}: the space of its directions is not named, LPS is assumed; check left and right")
    if space not in SPACES_TO_RAS:
        raise refusal(
            path, f"the space is one of {', '.join(s for s in SPACES_TO_RAS if '-' in s)}, got {space!r}; export again"
        )
    vectors = _vectors(path, header, "space directions")
    for column, vector in enumerate(vectors[:3]):
        affine[:3, column] = vector
    affine[:3, 3] = (_vectors(path, header, "space origin") or [[0.0, 0.0, 0.0]])[0]
    factors, said = _in_mm(path, header, "space units", range(3))
    return SPACES_TO_RAS[space] @ np.diag([*factors, 1.0]) @ affine, [*warnings, *said]


def _bare_spacing(path: Path, header: NrrdHeader, spatial: Sequence[int]) -> tuple[Affine, list[str]]:
    words = header.fields.get("spacings", "").split()
    given = [words[axis] if axis < len(words) else "nan" for axis in spatial]
    spacing = np.array(_numbers(path, "spacings", given))
    factors, said = _in_mm(path, header, "units", spatial)
    origin = _vectors(path, header, "space origin") or [[0.0, 0.0, 0.0]]
    affine = np.diag([*np.where(np.isnan(spacing), 1.0, spacing * factors), 1.0])
    affine[:3, 3] = origin[0]
    sentences = [
        f"{path}: the orientation is unknown (no space directions); i, j, k are taken as left, posterior, superior: "
        "check left and right"
    ]
    if np.isnan(spacing).any():
        axes = ", ".join(letter for letter, value in zip("ijk", spacing, strict=True) if np.isnan(value))
        sentences.append(f"{path}: the voxel spacing along {axes} is not given, 1 mm is assumed; check the volumes")
    return LPS_TO_RAS @ affine, [*sentences, *said]


def _in_mm(path: Path, header: NrrdHeader, name: str, axes: Sequence[int]) -> tuple[list[float], list[str]]:
    """What lengths along three axes are multiplied with, and a warning where that is not 1 or a unit is empty."""
    if name not in header.fields:
        return [1.0, 1.0, 1.0], []
    units = [unit.strip().lower() for unit in re.findall(r'"([^"]*)"', header.fields[name])]
    units = [units[axis] if axis < len(units) else "" for axis in axes]
    unknown = [unit for unit in units if unit and unit not in UNITS_MM]
    if unknown:
        raise refusal(path, f"{name} are mm, um, cm or m, got {unknown[0]!r}; correct the header or export it again")
    factors = [UNITS_MM.get(unit, 1.0) for unit in units]
    if not all(units):
        return factors, [f"{path}: {name} is not given for every axis, mm is assumed; check the volumes"]
    return factors, [f"{path}: {name} are {', '.join(units)}; converted to mm"] if set(factors) != {1.0} else []


def _vectors(path: Path, header: NrrdHeader, name: str) -> list[list[float]]:
    found = re.findall(r"\(([^)]*)\)", header.fields.get(name, ""))
    vectors = [_numbers(path, name, text.split(",")) for text in found]
    if any(len(vector) != 3 for vector in vectors):
        raise refusal(path, f"{name} has 3 numbers a vector, got {header.fields[name]!r}; export the image again")
    return vectors


def _numbers(path: Path, name: str, words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise refusal(path, f"{name} must be numbers, got {' '.join(words)!r}; export the image again") from error


def _required(path: Path, header: NrrdHeader, name: str) -> str:
    if name not in header.fields:
        raise refusal(path, f"a NRRD header has a field {name!r}, and this one has none; export the image again")
    return header.fields[name]

"""NRRD in and out with any geometry, sheared grids included, which ITK's reader bends."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.io.nrrd_header import (
    TYPES,
    NrrdHeader,
    affine_of,
    axis_roles,
    dtype_of,
    escape,
    parse_header,
    sizes_of,
)
from medseg.io.packed import read_bzip2, read_gzip, read_plain
from medseg.io.stored import LPS_TO_RAS, Stored, detached_file, pick_frame, refusal
from medseg.spec.errors import JobError

_VOXEL_SIZE, _UNKNOWN = "medseg voxel size", "unknown"  # key and value: NRRD itself has no word for it


def read_nrrd(path: Path, *, frame: int | None = None, channels: int | None = 1) -> Stored:
    """Read a .nrrd or a .nhdr with its one detached file.

    Args:
        path: the header.
        frame: which volume, counted from 0, when the file holds a list or a time course.
        channels: how many of them are the channels of one image; None: any number.

    Returns:
        ``(C, I, J, K)``: an axis of kind vector becomes the channels.

    Raises:
        ImageError: if the header is impossible, its size differs from the voxels', or a voxel is not one real number.
    """
    header = parse_header(path)
    sizes = sizes_of(path, header)
    roles = axis_roles(path, header, len(sizes))
    spatial = [axis for axis, role in enumerate(roles) if role == "space"]
    others = [axis for axis, role in enumerate(roles) if role != "space"]
    if len(spatial) != 3 or len(others) > 1:
        given = " x ".join(map(str, sizes))
        rule = f"an image has 3 axes in space and at most 1 other, got {given}; save one volume alone"
        raise refusal(path, rule)
    affine, warnings = affine_of(path, header, spatial)
    flat, extra = _voxels(path, header, dtype_of(path, header), int(np.prod(sizes, dtype=object)))
    array = flat.reshape(sizes, order="F").transpose(*others, *spatial)
    if not others:
        array = array[None]
    is_list = bool(others) and roles[others[0]] == "frame"
    if is_list or frame is not None:
        array = pick_frame(path, array, frame, channels=channels)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    known = header.pairs.get(_VOXEL_SIZE) != _UNKNOWN
    return Stored(native, affine, (*warnings, *extra), fields=header.pairs, spacing_known=known)


def _voxels(path: Path, header: NrrdHeader, dtype: np.dtype[np.generic], count: int) -> tuple[NDArray[Any], list[str]]:
    source, start = path, header.length
    if (name := header.fields.get("data file")) is not None:
        source, start = detached_file(path, name, whole=".nrrd"), 0
    encoding = header.fields.get("encoding", "raw").lower()
    needed = count * dtype.itemsize
    if encoding in {"ascii", "text", "txt"}:
        return _text_voxels(path, source, start, dtype, count), []
    if (lines := _whole_number(path, header, "line skip")) > 0:
        with source.open("rb") as stream:
            stream.seek(start)
            start += sum(len(line) for _, line in zip(range(lines), stream, strict=False))  # ends with the file
    skip = _whole_number(path, header, "byte skip")
    if encoding == "raw":
        held = source.stat().st_size
        start = held - needed if skip == -1 else start + skip
        if held - max(start, 0) > needed and skip != -1:
            rule = f"the sizes promise {needed:,} bytes and the file holds {held - start:,}; export it again"
            raise refusal(path, rule)
        if start < 0:
            raise refusal(path, f"the sizes promise {needed:,} bytes and the file holds {held:,}; get a whole copy")
        return np.frombuffer(read_plain(source, start, needed), dtype), []
    skip = max(skip, 0)
    if encoding in {"gz", "gzip"}:
        whole, extra = read_gzip(source, start, needed + skip)
        return np.frombuffer(whole, dtype, offset=skip), [extra] if extra else []
    if encoding in {"bz2", "bzip2"}:
        return np.frombuffer(read_bzip2(source, start, needed + skip), dtype, offset=skip), []
    raise refusal(path, f"the encoding is raw, gzip, bzip2 or ascii, got {encoding!r}; save it with one of these")


def _whole_number(path: Path, header: NrrdHeader, name: str) -> int:
    given = header.fields.get(name, header.fields.get(name.replace(" ", ""), "0"))
    try:
        return int(given)
    except ValueError as error:
        raise refusal(path, f"{name} is a whole number, got {given!r}; export the image again") from error


def _text_voxels(path: Path, source: Path, start: int, dtype: np.dtype[np.generic], count: int) -> NDArray[Any]:
    words = source.read_bytes()[start:].split()
    if len(words) != count:
        raise refusal(path, f"the sizes promise {count:,} numbers and the file holds {len(words):,}; export it again")
    try:
        return np.array(words, dtype="S").astype(dtype.newbyteorder("="))
    except ValueError as error:
        raise refusal(path, f"its voxels must be numbers ({error}); export the image again") from error


def encode_nrrd(
    path: Path, image: Image, pairs: Mapping[str, str] | None = None, *, many: Literal["vector", "list"] = "vector"
) -> None:
    """Write NRRD with gzip; several channels become a first axis. Where nobody knows a voxel's size that is said.

    Args:
        path: where to.
        image: ``(C, I, J, K)``.
        pairs: key/value pairs to add to the header.
        many: kind of the first axis, where there are several channels.

    Raises:
        JobError: if the voxel type is not one of NRRD's.
    """
    dtype = image.array.dtype
    names = TYPES.get(f"{dtype.kind}{dtype.itemsize}")
    if names is None:
        msg = f"NRRD cannot hold voxels of type {dtype}; convert them to float32"
        raise JobError(msg)
    has_many = image.channel_count > 1
    array = image.array if has_many else image.array[0]
    lps = LPS_TO_RAS @ image.affine
    directions = " ".join(_vector(lps[:3, column]) for column in range(3))
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {names[1] if dtype.itemsize == 1 and dtype.kind == 'u' else names[0]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, array.shape))}",
        f"space directions: {'none ' if has_many else ''}{directions}",
        f"kinds: {f'{many} ' if has_many else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(lps[:3, 3])}",
        *([] if image.spacing_known else [f"{_VOXEL_SIZE}:={_UNKNOWN}"]),
        *(f"{escape(key)}:={escape(value)}" for key, value in (pairs or {}).items()),
    ]
    little = array.astype(dtype.newbyteorder("<"), copy=False)
    with path.open("wb") as plain:
        plain.write(("\n".join(lines) + "\n\n").encode())
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=4, mtime=0) as packed:
            packed.write(little.tobytes(order="F"))


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(f"{float(value) + 0.0:.17g}" for value in values) + ")"

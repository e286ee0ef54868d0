"""MetaImage (.mha, .mhd + .raw) in and out."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine, Image
from medseg.io.checks import SHEAR_DEGREES, shear_degrees
from medseg.io.packed import read_plain, read_zlib
from medseg.io.stored import LPS_TO_RAS, Stored, detached_file, pick_frame, refusal
from medseg.spec.errors import JobError

MAX_HEADER_BYTES = 1 << 16
DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
NAMES = {np.dtype(code): name for name, code in DTYPES.items() if name not in {"MET_LONG", "MET_ULONG"}}


def read_metaimage(path: Path, *, frame: int | None = None, channels: int | None = 1) -> Stored:
    """Read a .mha, or a .mhd with its one raw file.

    Args:
        path: the header.
        frame: which volume of a 4-D file, counted from 0.
        channels: how many volumes are the channels of one image; None: any number.

    Returns:
        ``(C, I, J, K)``: ElementNumberOfChannels becomes the channels.

    Raises:
        ImageError: if the header is impossible or the voxels are missing, cut off or spread over files.
    """
    fields, length = _header(path)
    sizes = [int(value) for value in _numbers(path, fields, "DimSize", "")]
    channels = int(_numbers(path, fields, "ElementNumberOfChannels", "1")[0])
    if len(sizes) not in {2, 3, 4} or min(*sizes, channels) < 1:
        raise refusal(
            path, f"an image has 3 dimensions of at least 1, got {fields.get('DimSize')!r}; save one volume alone"
        )
    sizes = [*sizes, 1, 1][:4]
    flat = _voxels(path, fields, length, channels * int(np.prod(sizes, dtype=object)))
    array = flat.reshape(channels, *sizes, order="F")
    if sizes[3] > 1 and channels > 1:
        raise refusal(
            path, f"an image has channels or time points, got {channels} and {sizes[3]}; save one volume alone"
        )
    array = array[..., 0] if sizes[3] == 1 else array[0].transpose(3, 0, 1, 2)
    if sizes[3] > 1 or frame is not None:
        array = pick_frame(path, array, frame, channels=channels)
    affine, warnings = _affine(path, fields)
    return Stored(array.astype(array.dtype.newbyteorder("="), copy=False), affine, tuple(warnings))


def _header(path: Path) -> tuple[dict[str, str], int]:
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
    fields: dict[str, str] = {}
    length = 0
    for line in head.splitlines(keepends=True):
        length += len(line)
        key, found, value = line.decode("utf-8", errors="replace").partition("=")
        if found:
            fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, length
    raise refusal(path, "a MetaImage header ends with ElementDataFile, and this has none; get a whole copy of the file")


def _numbers(path: Path, fields: dict[str, str], name: str, default: str) -> list[float]:
    given = fields.get(name, default)
    try:
        numbers = [float(word) for word in given.split()]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all():
        raise refusal(path, f"{name} must be finite numbers, got {given!r}; export the image again")
    return numbers


def _voxels(path: Path, fields: dict[str, str], length: int, count: int) -> NDArray[Any]:
    kind = fields.get("ElementType", "")
    if kind not in DTYPES:
        raise refusal(path, f"an ElementType is one of {', '.join(DTYPES)}, got {kind!r}; export the image again")
    if not _is_true(fields, "BinaryData", "True"):
        raise refusal(path, "voxels are read as binary, and these are text (BinaryData = False); save it as binary")
    big = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
    dtype = np.dtype(DTYPES[kind]).newbyteorder(">" if big else "<")
    source, start = path, length
    if (name := fields["ElementDataFile"]).upper() != "LOCAL":
        source, start = detached_file(path, name, whole=".mha"), 0
    needed = count * dtype.itemsize
    if _is_true(fields, "CompressedData"):
        return np.frombuffer(read_zlib(source, start, needed), dtype, count)
    held = source.stat().st_size
    skip = 0 if name.upper() == "LOCAL" else int(_numbers(path, fields, "HeaderSize", "0")[0])
    start = held - needed if skip == -1 else start + skip
    if start < 0 or held - start != needed:
        rule = f"DimSize promises {needed:,} bytes and {source.name} holds {held - max(start, 0):,}; get a whole copy"
        raise refusal(path, rule)
    return np.frombuffer(read_plain(source, start, needed), dtype)


def _is_true(fields: dict[str, str], name: str, default: str = "False") -> bool:
    return fields.get(name, default).strip().lower() in {"true", "1", "t"}


def _affine(path: Path, fields: dict[str, str]) -> tuple[NDArray[np.float64], list[str]]:
    dims = len(fields["DimSize"].split())
    spacing_name = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    spacing = _numbers(path, fields, spacing_name, " ".join(["1"] * dims))
    offset_name = next((name for name in ("Offset", "Position", "Origin") if name in fields), "Offset")
    offset = _numbers(path, fields, offset_name, " ".join(["0"] * dims))
    matrix_name = next((name for name in ("TransformMatrix", "Rotation", "Orientation") if name in fields), "")
    identity = " ".join(f"{value:g}" for value in np.eye(dims).ravel())
    matrix = _numbers(path, fields, matrix_name or "TransformMatrix", identity)
    if (len(spacing), len(offset), len(matrix)) != (dims, dims, dims * dims):
        given = f"{len(spacing)}, {len(offset)}, {len(matrix)} numbers"
        rule = f"spacing, offset and matrix fit {dims} dimensions, got {given}"
        raise refusal(path, f"{rule}; export the image again")
    affine = np.eye(4)
    size = min(dims, 3)
    # the file lists one axis after the other, so each row of the text is a column of the affine
    axes = np.array(matrix).reshape(dims, dims).T * np.array(spacing)
    affine[:size, :size] = axes[:size, :size]
    affine[:size, 3] = offset[:size]
    warnings = []
    if not matrix_name:
        unknown = "the orientation is unknown (no TransformMatrix); i, j, k are taken as left, posterior, superior"
        warnings.append(f"{path}: {unknown}: check left and right")
    if spacing_name not in fields:
        warnings.append(f"{path}: the voxel spacing is not given (no ElementSpacing), 1 mm is assumed; check volumes")
    return LPS_TO_RAS @ affine, warnings


def check_perpendicular(affine: Affine) -> None:
    """Refuse a sheared grid, which MetaImage has no word for.

    Raises:
        JobError: if the axes are not perpendicular.
    """
    shear = shear_degrees(affine)
    if shear > SHEAR_DEGREES:
        msg = f"a .mha has perpendicular axes, and these are {shear:.1f} degrees off; write .nrrd or .nii.gz instead"
        raise JobError(msg)


def encode_metaimage(path: Path, image: Image) -> None:
    """Write .mha, compressed.

    Raises:
        JobError: if the axes are not perpendicular, or the voxel type is not one of MetaImage's.
    """
    check_perpendicular(image.affine)
    dtype = image.array.dtype
    if dtype not in NAMES:
        msg = f"MetaImage cannot hold voxels of type {dtype}; convert them to float32"
        raise JobError(msg)
    lps = LPS_TO_RAS @ image.affine
    directions = lps[:3, :3] / np.array(image.spacing)
    packed = zlib.compress(image.array.astype(dtype.newbyteorder("<"), copy=False).tobytes(order="F"), 4)
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(packed)}",
        f"TransformMatrix = {_text(directions.T.ravel())}",
        f"Offset = {_text(lps[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_text(np.array(image.spacing))}",
        f"DimSize = {' '.join(map(str, image.shape))}",
        *([f"ElementNumberOfChannels = {image.channel_count}"] if image.channel_count > 1 else []),
        f"ElementType = {NAMES[dtype]}",
        "ElementDataFile = LOCAL",
    ]
    with path.open("wb") as stream:
        stream.write(("\n".join(lines) + "\n").encode())
        stream.write(packed)


def _text(values: NDArray[np.float64]) -> str:
    return " ".join(f"{float(value) + 0.0:.17g}" for value in values)

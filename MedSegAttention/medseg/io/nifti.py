"""NIfTI-1 and NIfTI-2 in, NIfTI-1 out, byte for byte: ITK lets cut files, NaN and broken affines pass."""

import gzip
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine, Image
from medseg.io.checks import SHEAR_DEGREES, shear_degrees
from medseg.io.nifti_affine import header_affine
from medseg.io.nifti_header import DTYPES, HEADER_BYTES, NiftiHeader, parse_header
from medseg.io.packed import first_bytes, is_gzip, read_gzip, read_plain
from medseg.io.stored import Stored, pick_frame, refusal
from medseg.spec.errors import JobError

CODES = {np.dtype(name): code for code, name in DTYPES.items()}
_BLOCK = 16  # voxels along i and k turned at a time: they fit the processor's cache, measured 4 times as fast


def read_nifti(path: Path, *, frame: int | None = None, channels: int | None = 1) -> Stored:
    """Read a .nii, .nii.gz or .hdr/.img pair.

    Args:
        path: the file; for a pair, its header.
        frame: which volume of a 4-D file, counted from 0.
        channels: how many volumes are the channels of one image; None: any number.

    Returns:
        ``(C, I, J, K)`` voxels in their own type, float32 or float64 where the header scales them.

    Raises:
        ImageError: if the header is impossible, bytes are missing, or several volumes lie in it and none is chosen.
    """
    header = parse_header(path, first_bytes(path, HEADER_BYTES))
    if len(header.dims) > 4:
        dims = " x ".join(map(str, header.dims))
        raise refusal(
            path, f"an image has 3 dimensions, or 4 with --frame, got {dims}; save one volume as a file of its own"
        )
    affine, warnings = header_affine(path, header)
    stored, extra = _voxels(path, header)
    frames = stored.reshape(*header.dims, *(1,) * (4 - len(header.dims)), order="F").transpose(3, 0, 1, 2)
    chosen = pick_frame(path, frames, frame, channels=channels)
    return Stored(_scaled(chosen, header), affine, (*warnings, *extra))


def _voxels(path: Path, header: NiftiHeader) -> tuple[NDArray[Any], list[str]]:
    source = path
    if header.detached:
        source = next((p for p in (path.with_suffix(".img"), path.with_suffix(".img.gz")) if p.exists()), path)
        if source == path:
            raise refusal(
                path, f"its voxels lie in {path.with_suffix('.img').name}, which is missing; put it beside the header"
            )
    start, count = header.voxel_offset, header.voxel_bytes
    if is_gzip(source):
        whole, sentence = read_gzip(source, 0, start + count, more_allowed=True)
        extra = [sentence] if sentence else []
        return np.frombuffer(whole, header.dtype, offset=start), extra
    beyond = source.stat().st_size - start - count
    extra = [f"{path}: {beyond:,} bytes follow the voxels and were left out"] if beyond > 0 else []
    return np.frombuffer(read_plain(source, start, count), header.dtype), extra


def _scaled(array: NDArray[Any], header: NiftiHeader) -> NDArray[Any]:
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return native
    exact = native.dtype.itemsize <= 2 or native.dtype == np.float32  # float32 holds what such a file can mean
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is reported with the other voxels
        return (native * np.float64(header.slope) + header.intercept).astype(np.float32 if exact else np.float64)


def check_length(shape: tuple[int, ...]) -> None:
    """Refuse an axis of more than 32767 voxels; raises ``JobError``."""
    if max(shape) > 32767:
        msg = f"NIfTI-1 counts to 32767 voxels along an axis, got {shape}; write .nrrd instead"
        raise JobError(msg)


def encode_nifti(path: Path, image: Image) -> None:
    """Write NIfTI-1, gzip when the name ends in .gz; several channels become the 4th dimension.

    The sform is exact; a qform is added when the axes are perpendicular, which is all it can say.

    Raises:
        JobError: if an axis has more than 32767 voxels, or the voxel type is not one of NIfTI's.
    """
    check_length(image.array.shape)
    array = image.array[0] if image.channel_count == 1 else image.array.transpose(1, 2, 3, 0)
    if array.dtype.newbyteorder("=") not in CODES:
        msg = f"NIfTI cannot hold voxels of type {array.dtype}; convert them to float32"
        raise JobError(msg)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    head = _header_bytes(array, image.affine)
    with path.open("wb") as plain:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=4, mtime=0) as packed:
                packed.write(head)
                _write_voxels(packed, little)
        else:
            plain.write(head)
            _write_voxels(plain, little)


def _write_voxels(stream: BinaryIO | gzip.GzipFile, array: NDArray[Any]) -> None:
    """Write with i fastest: as they lie where they do so already, else turned block by block, never a second volume."""
    if array.flags.f_contiguous:
        stream.write(array.T.data.cast("B"))
        return
    for volume in array.transpose(3, 0, 1, 2) if array.ndim == 4 else array[None]:
        turned = volume.T
        slab = np.empty((_BLOCK, *turned.shape[1:]), dtype=array.dtype)
        for first in range(0, len(turned), _BLOCK):
            planes = turned[first : first + _BLOCK]
            for i in range(0, planes.shape[2], _BLOCK):
                slab[: len(planes), :, i : i + _BLOCK] = planes[:, :, i : i + _BLOCK]
            stream.write(slab[: len(planes)].data.cast("B"))


def _header_bytes(array: NDArray[Any], affine: Affine) -> bytes:
    head = bytearray(352)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    perpendicular = shear_degrees(affine) < SHEAR_DEGREES
    handed, quaternion = _quaternion(affine[:3, :3] / spacing)
    dims = (array.ndim, *array.shape, *(1,) * (7 - array.ndim))
    dtype = array.dtype.newbyteorder("=")
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, *dims)
    struct.pack_into("<2h", head, 70, CODES[dtype], 8 * dtype.itemsize)
    struct.pack_into("<8f", head, 76, handed, *spacing, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[123] = 2  # millimetres
    struct.pack_into("<2h", head, 252, 1 if perpendicular else 0, 1)
    struct.pack_into("<6f", head, 256, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", head, 280, *affine[:3].ravel())
    head[344:348] = b"n+1\0"
    return bytes(head)


def _quaternion(axes: NDArray[np.float64]) -> tuple[float, tuple[float, float, float]]:
    """Handedness and b, c, d of unit axes: the eigenvector of Bar-Itzhack's 4x4 matrix (J. Guidance 23(6), 2000)."""
    handed = 1.0 if np.linalg.det(axes) > 0 else -1.0
    r = axes @ np.diag([1.0, 1.0, handed])
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    a, b, c, d = np.linalg.eigh(k)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return handed, (sign * float(b), sign * float(c), sign * float(d))

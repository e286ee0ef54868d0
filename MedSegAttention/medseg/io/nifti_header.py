"""The header of NIfTI-1 and NIfTI-2, read as strictly as the standard allows; nifti.nimh.nih.gov."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.io.stored import refusal

HEADER_BYTES = 544  # enough for either version and its extension flag
UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre
DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
OTHER_TYPES = {
    1: "one bit", 32: "complex", 128: "RGB colour", 1536: "128-bit float", 1792: "complex", 2048: "complex",
    2304: "RGBA colour",
}  # fmt: skip
NEXT_STEP = {
    "complex": "save the magnitude as a volume of its own",
    "colour": "save one grey channel as a volume of its own",
}

# version 1 and 2: (dim, datatype, pixdim, vox_offset + slope + inter, units, codes, quaternion + offset + rows)
_LAYOUT = {
    1: (("8h", 40), ("h", 70), ("8f", 76), ("3f", 108), ("B", 123), ("2h", 252), ("18f", 256)),
    2: (("8q", 16), ("h", 12), ("8d", 104), ("q2d", 168), ("i", 500), ("2i", 344), ("18d", 352)),
}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a NIfTI header says, in its own terms; mm where it names a unit."""

    dims: tuple[int, ...]  # without trailing ones beyond the third
    dtype: np.dtype[np.generic]
    voxel_offset: int
    slope: float  # 1 where the file says 0 or NaN, that is: no scaling
    intercept: float
    pixdim: tuple[float, ...]  # [0] is the handedness of the qform
    unit_mm: float
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]  # b, c, d
    offset: tuple[float, ...]
    rows: tuple[float, ...]  # of the sform, 12 numbers
    detached: bool  # voxels lie in an .img file of the same name

    @property
    def voxel_bytes(self) -> int:
        """Bytes all voxels take."""
        count = 1
        for dim in self.dims:
            count *= dim
        return count * self.dtype.itemsize


def parse_header(path: Path, head: bytes) -> NiftiHeader:
    """Read a header.

    Raises:
        ImageError: naming the first field that is impossible or not supported.
    """
    version, order = _version(path, head)
    dim, code, pixdim, scaling, units, codes, form = (
        struct.unpack_from(order + kind, head, at) for kind, at in _LAYOUT[version]
    )
    magic = head[344:348] if version == 1 else head[4:8]
    slope, intercept = _scaling(path, float(scaling[1]), float(scaling[2]))
    detached = magic[:2] == b"ni"
    return NiftiHeader(
        dims=_dims(path, dim),
        dtype=_dtype(path, code[0], order),
        voxel_offset=_voxel_offset(path, float(scaling[0]), 0 if detached else (352, 544)[version - 1]),
        slope=slope,
        intercept=intercept,
        pixdim=pixdim,
        unit_mm=UNITS_MM.get(units[0] & 7, 1.0),
        qform_code=codes[0],
        sform_code=codes[1],
        quaternion=form[:3],
        offset=form[3:6],
        rows=form[6:],
        detached=detached,
    )


def looks_like_nifti(head: bytes) -> bool:
    """Whether the first bytes are the length field of a NIfTI header, in either byte order."""
    return head[:4] in {struct.pack(order + "i", size) for order in "<>" for size in (348, 540)}


def _version(path: Path, head: bytes) -> tuple[int, str]:
    for version, size, at, magics in ((1, 348, 344, (b"n+1\0", b"ni1\0")), (2, 540, 4, (b"n+2\0", b"ni2\0"))):
        for order in "<>":
            if head[:4] != struct.pack(order + "i", size):
                continue
            if len(head) < size:
                raise refusal(
                    path, f"a NIfTI header has {size} bytes, got {len(head)}; the file is cut off, get a whole copy"
                )
            if head[at : at + 4] not in magics:
                found = head[at : at + 4].decode("latin-1")
                rule = (
                    f"a NIfTI-{version} file says 'n+{version}' at byte {at}, got {found!r}; convert it to NIfTI first"
                )
                raise refusal(path, rule)
            return version, order
    raise refusal(
        path, f"a NIfTI file starts with its header's length, 348 or 540, got {head[:4]!r}; this is not NIfTI"
    )


def _dims(path: Path, dim: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= dim[0] <= 7:
        raise refusal(path, f"NIfTI has 1 to 7 dimensions, got {dim[0]}; export the image again from its source")
    dims = dim[1 : dim[0] + 1]
    if min(dims) < 1:
        raise refusal(
            path, f"every dimension holds at least 1 voxel, got {' x '.join(map(str, dims))}; export it again"
        )
    dims = (*dims, 1, 1)[: max(3, len(dims))]
    while len(dims) > 3 and dims[-1] == 1:
        dims = dims[:-1]
    return dims


def _dtype(path: Path, code: int, order: str) -> np.dtype[np.generic]:
    if code in DTYPES:
        return np.dtype(order + DTYPES[code])
    if code in OTHER_TYPES:
        kind = OTHER_TYPES[code]
        step = next((step for word, step in NEXT_STEP.items() if word in kind), "convert it to float32")
        raise refusal(path, f"a voxel is one real number, and these are {kind} (NIfTI datatype {code}); {step}")
    raise refusal(path, f"NIfTI knows no datatype {code}; the header is damaged, export the image again")


def _voxel_offset(path: Path, given: float, lowest: int) -> int:
    if given == 0:
        return lowest
    if not np.isfinite(given) or given < lowest or given != int(given):
        raise refusal(path, f"the voxels start at byte {lowest} or later (vox_offset), got {given:g}; export it again")
    return int(given)


def _scaling(path: Path, slope: float, intercept: float) -> tuple[float, float]:
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all():
        rule = f"scl_slope and scl_inter must be finite, got {slope:g} and {intercept:g}; export the image again"
        raise refusal(path, rule)
    return slope, intercept

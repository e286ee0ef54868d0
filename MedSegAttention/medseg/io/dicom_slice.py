"""One DICOM file: the tags that place it in the patient, and its voxels, decoded by GDCM."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from medseg.io.stored import refusal

sitk: Any = SimpleITK  # its own annotations are partial and differ between releases

UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}  # implicit and explicit VR little endian
PIXEL_TAG = b"\xe0\x7f\x10\x00"
NOT_IMAGES = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"}


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """What one file says about itself; vectors in LPS, lengths in mm, None where a tag is absent or empty."""

    path: Path
    series: str
    description: str
    modality: str
    rows: int
    columns: int
    frames: int
    samples: int  # numbers a voxel; 3 for colour
    bits: int
    instance: int
    position: NDArray[np.float64] | None  # of the first voxel's centre
    axes: NDArray[np.float64] | None  # (2, 3): direction of growing column index, then of growing row index
    spacing: tuple[float, float] | None  # between rows, between columns
    thickness: float | None  # SpacingBetweenSlices, else SliceThickness
    tilt: float  # degrees, 0 when absent


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's C++ warnings off stderr for a while; what they say is checked here."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark after its preamble, or starts with group 8 as files without one do."""
    with path.open("rb") as stream:
        head = stream.read(132)
    return head[128:132] == b"DICM" or head[:2] == b"\x08\x00"


def read_tags(path: Path) -> DicomSlice | None:
    """Read the tags of a file; None when it holds no image.

    Raises:
        ImageError: if a tag that should be numbers is not.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = {key: reader.GetMetaData(key).strip("\0 ") for key in reader.GetMetaDataKeys()}
    size = (*reader.GetSize(), 1, 1)
    position = _numbers(path, tags, "0020|0032", 3)
    axes = _numbers(path, tags, "0020|0037", 6)
    spacing = _numbers(path, tags, "0028|0030", 2) or _numbers(path, tags, "0018|1164", 2)
    thickness = _numbers(path, tags, "0018|0088", 1) or _numbers(path, tags, "0018|0050", 1)
    return DicomSlice(
        path=path,
        series=tags.get("0020|000e", ""),
        description=tags.get("0008|103e", ""),
        modality=tags.get("0008|0060", ""),
        rows=int(size[1]),
        columns=int(size[0]),
        frames=int(size[2]),
        samples=int(reader.GetNumberOfComponents()),
        bits=int((_numbers(path, tags, "0028|0100", 1) or [16])[0]),
        instance=int((_numbers(path, tags, "0020|0013", 1) or [0])[0]),
        position=np.array(position) if position else None,
        axes=np.array(axes).reshape(2, 3) if axes else None,
        spacing=(spacing[0], spacing[1]) if spacing else None,
        thickness=thickness[0] if thickness else None,
        tilt=(_numbers(path, tags, "0018|1120", 1) or [0.0])[0],
    )


def read_voxels(piece: DicomSlice) -> NDArray[Any]:
    """Voxels of one file with the rescale slope applied, ``(I, J, K)``; K is 1 unless the file is multi-frame.

    Raises:
        ImageError: if the stored bytes are fewer than the image has, or cannot be decoded.
    """
    _refuse_short(piece)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(piece.path))
    try:
        with quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise refusal(piece.path, f"its voxels cannot be decoded ({reason}); export the series again") from error
    array: NDArray[Any] = sitk.GetArrayFromImage(image)  # K, J, I
    return array.reshape(piece.frames, piece.rows, piece.columns).transpose(2, 1, 0)


def _numbers(path: Path, tags: dict[str, str], tag: str, count: int) -> list[float] | None:
    text = tags.get(tag, "")
    if not text:
        return None
    try:
        numbers = [float(word) for word in text.split("\\")]
    except ValueError:
        numbers = []
    if len(numbers) < count or not np.isfinite(numbers).all():
        rule = f"tag ({tag.replace('|', ',')}) holds {count} finite numbers, got {text!r}; export the series again"
        raise refusal(path, rule)
    return numbers[:count]


def _refuse_short(piece: DicomSlice) -> None:
    """GDCM fills missing bytes with whatever lies in memory; the length field of (7FE0,0010) tells."""
    whole = piece.path.read_bytes()
    syntax = re.search(rb"\x02\x00\x10\x00UI(..)", whole[:2048], re.DOTALL)
    if syntax is None:
        return
    length = struct.unpack("<H", syntax.group(1))[0]
    if whole[syntax.end() : syntax.end() + length].rstrip(b"\0 ").decode("ascii", "replace") not in UNCOMPRESSED:
        return
    needed = piece.rows * piece.columns * piece.frames * piece.samples * piece.bits // 8
    held = max((_stored_length(whole, found.start()) for found in re.finditer(re.escape(PIXEL_TAG), whole)), default=0)
    if held < needed:
        size = f"{piece.columns} x {piece.rows} voxels of {piece.bits} bit"
        rule = f"{size} need {needed:,} bytes and the file holds {held:,}"
        raise refusal(piece.path, f"{rule}; get a whole copy of this slice")


def _stored_length(whole: bytes, at: int) -> int:
    explicit = whole[at + 4 : at + 6] in {b"OW", b"OB"}
    start = at + (12 if explicit else 8)
    if len(whole) < start:
        return 0
    length: int = struct.unpack_from("<I", whole, start - 4)[0]
    return min(length, len(whole) - start)

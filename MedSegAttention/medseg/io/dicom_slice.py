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
    tags: dict[str, str]  # those that are text, as "gggg|eeee" in lower case -> value

    def numbers(self, tag: str, count: int) -> list[float] | None:
        """The first numbers of a tag; None where it is absent or empty.

        Raises:
            ImageError: if it holds fewer, or something else.
        """
        return _numbers(self.path, self.tags, tag, count)


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
        tags=tags,
    )


def read_voxels(piece: DicomSlice) -> NDArray[Any]:
    """Voxels of one file with the rescale slope applied, ``(I, J, K)``; K is 1 unless the file is multi-frame.

    Where the file has colours they are a fourth axis.

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
        rule = f"its voxels, in transfer syntax {_transfer_syntax(piece.path)}, cannot be decoded ({reason})"
        raise refusal(piece.path, f"{rule}; export it again without compression") from error
    array: NDArray[Any] = sitk.GetArrayFromImage(image)  # K, J, I
    colours = () if piece.samples == 1 else (piece.samples,)
    return array.reshape(piece.frames, piece.rows, piece.columns, *colours).swapaxes(0, 2)


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
    if _transfer_syntax(piece.path) not in UNCOMPRESSED:
        return
    whole = piece.path.read_bytes()
    needed = piece.rows * piece.columns * piece.frames * piece.samples * piece.bits // 8
    held = max((_stored_length(whole, found.start()) for found in re.finditer(re.escape(PIXEL_TAG), whole)), default=0)
    if held < needed:
        size = f"{piece.columns} x {piece.rows} voxels of {piece.bits} bit"
        rule = f"{size} need {needed:,} bytes and the file holds {held:,}"
        raise refusal(piece.path, f"{rule}; get a whole copy of this slice")


def _transfer_syntax(path: Path) -> str:
    """How voxels are stored, as its UID; "" where the file does not say."""
    with path.open("rb") as stream:
        head = stream.read(2048)
    found = re.search(rb"\x02\x00\x10\x00UI(..)", head, re.DOTALL)
    if found is None:
        return ""
    length = struct.unpack("<H", found.group(1))[0]
    return head[found.end() : found.end() + length].rstrip(b"\0 ").decode("ascii", "replace")


def _stored_length(whole: bytes, at: int) -> int:
    explicit = whole[at + 4 : at + 6] in {b"OW", b"OB"}
    start = at + (12 if explicit else 8)
    if len(whole) < start:
        return 0
    length: int = struct.unpack_from("<I", whole, start - 4)[0]
    return min(length, len(whole) - start)

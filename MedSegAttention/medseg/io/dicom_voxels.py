"""The voxels of DICOM files, decoded by GDCM, in the values that the header gives them."""

import re
import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.io.dicom_file import SYNTAX, meta_uid
from medseg.io.dicom_slice import DicomSlice, numbers_of
from medseg.io.itk import heard_itk, sitk
from medseg.io.stored import refusal

_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}  # implicit and explicit VR little endian
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXEL_TAG, _ITEM, _END = b"\xe0\x7f\x10\x00", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = 0xFFFFFFFF


def read_voxels(piece: DicomSlice) -> NDArray[Any]:
    """Voxels of the whole file with the rescale slope applied, ``(I, J, K)``; K is 1 unless the file is multi-frame.

    Where the file has colours they are a fourth axis. MONOCHROME1 is turned over, so that bright is much.

    Raises:
        ImageError: if the stored bytes are fewer than the image has, or cannot be decoded.
    """
    return _decode(piece)[0]


def read_stack(slices: Sequence[DicomSlice]) -> tuple[NDArray[Any], list[str]]:
    """Voxels of slices ``(I, J, K)`` with the rescale of each applied, and what the decoder warned of.

    MONOCHROME1 only says how to show an image: the values are those of the modality, as in the other slices.

    Raises:
        ImageError: as ``read_voxels``.
    """
    planes: dict[int, NDArray[Any]] = {}
    sentences: dict[str, str] = {}  # what was heard, and the file it was first heard of
    by_file: defaultdict[Path, list[int]] = defaultdict(list)  # a file of many frames is decoded once
    for number, piece in enumerate(slices):
        by_file[piece.path].append(number)
    for path, numbers in by_file.items():
        whole, heard = _decode(slices[numbers[0]])
        for text in heard:
            sentences.setdefault(text.replace(str(path), ""), f"{path}: the decoder warns: {text}")
        for number in numbers:
            piece = slices[number]
            planes[number] = _modality_values(piece, whole[:, :, piece.frame])
    return np.stack([planes[number] for number in range(len(slices))], axis=-1), list(sentences.values())


def rescale(tags: dict[str, str], piece: DicomSlice) -> tuple[float, float]:
    """Slope and intercept that tags of a slice give; 1 and 0 where they give none, or a slope of 0.

    Raises:
        ImageError: if they are no numbers.
    """
    slope, intercept = (numbers_of(piece.path, tags, tag, 1) for tag in ("0028|1053", "0028|1052"))
    return (slope[0] if slope and slope[0] else 1.0), (intercept[0] if intercept else 0.0)


def refuse_cut(piece: DicomSlice) -> None:
    """Refuse a file that holds fewer bytes of voxels than it says: GDCM fills up with whatever lies in memory.

    Raises:
        ImageError: with both numbers.
    """
    syntax = meta_uid(piece.path, SYNTAX)
    if syntax == _DEFLATED:
        return
    whole = piece.path.read_bytes()
    starts = [found.start() for found in re.finditer(re.escape(_PIXEL_TAG), whole)]
    if syntax not in _UNCOMPRESSED and syntax:
        if starts and not any(_fragments_end(whole, at) for at in starts):
            raise refusal(
                piece.path, "its compressed voxels end before their mark does; get a whole copy of this slice"
            )
        return
    needed = piece.rows * piece.columns * piece.frames * piece.samples * piece.bits // 8
    held = max((_stored_length(whole, at) for at in starts), default=0)
    if held < needed:
        size = f"{piece.columns} x {piece.rows} voxels of {piece.bits} bit"
        rule = f"{size} need {needed:,} bytes and the file holds {held:,}"
        raise refusal(piece.path, f"{rule}; get a whole copy of this slice")


def _decode(piece: DicomSlice) -> tuple[NDArray[Any], list[str]]:
    refuse_cut(piece)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(piece.path))
    try:
        with heard_itk() as heard:
            image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        rule = f"its voxels, in transfer syntax {meta_uid(piece.path, SYNTAX)}, cannot be decoded ({reason})"
        raise refusal(piece.path, f"{rule}; export it again without compression") from error
    array: NDArray[Any] = sitk.GetArrayFromImage(image)  # K, J, I
    colours = () if piece.samples == 1 else (piece.samples,)
    return array.reshape(piece.frames, piece.rows, piece.columns, *colours).swapaxes(0, 2), heard


def _modality_values(piece: DicomSlice, plane: NDArray[Any]) -> NDArray[Any]:
    """What GDCM decoded, turned back where it turned MONOCHROME1 over, with the rescale of this frame.

    GDCM gives every frame the rescale of the first.
    """
    turned = piece.tags.get("0028|0004") == "MONOCHROME1"
    first = piece.tags | (piece.groups[0] if piece.groups else {})
    used, own = rescale(first, piece), rescale(piece.tags, piece)
    if not turned and used == own:
        return plane
    slope, intercept = used
    stored = np.round((plane.astype(np.float64) - intercept) / slope)
    if turned:
        is_signed = piece.tags.get("0028|0103") == "1"
        bits = int((piece.numbers("0028|0101", 1) or [piece.bits])[0])
        stored = (-1.0 if is_signed else float((1 << bits) - 1)) - stored
    values: NDArray[Any] = stored * own[0] + own[1]
    if plane.dtype.kind in "iu" and used == own:
        return values.astype(plane.dtype)  # the same range, mirrored
    return values.astype(np.int32) if all(number.is_integer() for number in own) else values


def _stored_length(whole: bytes, at: int) -> int:
    explicit = whole[at + 4 : at + 6] in {b"OW", b"OB"}
    start = at + (12 if explicit else 8)
    if len(whole) < start:
        return 0
    length: int = struct.unpack_from("<I", whole, start - 4)[0]
    return min(length, len(whole) - start)


def _fragments_end(whole: bytes, at: int) -> bool:
    """Whether compressed voxels that begin at a tag go on, fragment by fragment, to the mark of their end."""
    start = at + (12 if whole[at + 4 : at + 6] in {b"OW", b"OB"} else 8)
    if len(whole) < start or struct.unpack_from("<I", whole, start - 4)[0] != _UNDEFINED:
        return len(whole) >= start and _stored_length(whole, at) == struct.unpack_from("<I", whole, start - 4)[0]
    while whole[start : start + 4] == _ITEM and len(whole) >= start + 8:
        start += 8 + int(struct.unpack_from("<I", whole, start + 4)[0])
    return whole[start : start + 4] == _END

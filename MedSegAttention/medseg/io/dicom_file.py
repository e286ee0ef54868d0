"""Is this a DICOM file, and if no image can be read from it: what is it, and what became of it?"""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medseg.spec.errors import MedSegError

_HEAD_BYTES, _META_BYTES, _SHOWN = 132, 2048, 100
CLASS, SYNTAX = b"\x02\x00\x02\x00", b"\x02\x00\x10\x00"  # tags: Media Storage SOP Class, Transfer Syntax
_MARK = b"DICM"  # after the preamble
_IMPLICIT_LENGTH = 256  # of the first element of a file without a preamble; longer ones are other formats
NOT_IMAGES = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC", "PLAN", "FID", "RWV", "SMR"}
_NAMES = {
    "SEG": "a segmentation (DICOM SEG)",
    "RTSTRUCT": "contours (RT Structure Set)",
    "RTDOSE": "a dose",
    "RTPLAN": "a plan of a radiotherapy",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a list of key objects",
    "REG": "a registration",
    "DOC": "a document",
}


@dataclass(frozen=True)
class NoImage:
    """A file of which no image was read."""

    path: Path
    why: Literal["empty", "not DICOM", "packed", "unreadable", "no image"]
    said: str  # what there is to say about it, in words
    series: str = ""  # where it still says so


def looks_like_dicom(head: bytes) -> bool:
    """Whether the first bytes of a file are DICOM's: the mark after any preamble, or without one a first element."""
    if head[128:132] == _MARK:
        return True
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3:4] != b"\0":
        return False
    length = struct.unpack_from("<I", head, 4)[0]
    return re.fullmatch(rb"[A-Z]{2}", head[4:6]) is not None or 0 < length < _IMPLICIT_LENGTH


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark after its preamble, or starts with group 2 or 8 as files without one do."""
    with path.open("rb") as stream:
        return looks_like_dicom(stream.read(_HEAD_BYTES))


def has_mark(path: Path) -> bool:
    """Whether a file has DICOM's mark after its preamble."""
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)[128:132] == _MARK


def meta_uid(path: Path, tag: bytes) -> str:
    """A UID of the file meta information, ``CLASS`` or ``SYNTAX``; "" where the file does not say."""
    with path.open("rb") as stream:
        head = stream.read(_META_BYTES)
    found = re.search(re.escape(tag) + rb"UI(..)", head, re.DOTALL)
    if found is None:
        return ""
    length: int = struct.unpack("<H", found.group(1))[0]
    return head[found.end() : found.end() + length].rstrip(b"\0 ").decode("ascii", "replace")


def describe_object(modality: str) -> str:
    """What a DICOM object that is no image is, by its modality."""
    return _NAMES.get(modality, f"an object without an image (modality {modality or 'unknown'})")


def explain(path: Path) -> NoImage:
    """Say why a file gives no image: it is empty, no DICOM, packed, another kind of object, or cut off."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head:
        return NoImage(path, "empty", "empty (0 bytes)")
    if head[:2] == b"\x1f\x8b":
        return NoImage(path, "packed", "packed by gzip: unpack it first")
    if not head.strip(b"\0"):
        return NoImage(path, "empty", f"{path.stat().st_size:,} bytes of which the first {len(head)} are zeros")
    if not looks_like_dicom(head):
        return NoImage(path, "not DICOM", "not DICOM")
    return _explain_dicom(path)


def _explain_dicom(path: Path) -> NoImage:
    try:
        with quiet_pydicom():
            return _explain_tags(path, open_tags(path))
    except (ImportError, ValueError):
        return NoImage(path, "unreadable", "DICOM that cannot be read (damaged or cut off)")


def _explain_tags(path: Path, tags: Any) -> NoImage:
    series, modality = str(tags.get("SeriesInstanceUID") or ""), str(tags.get("Modality") or "")
    if "DirectoryRecordSequence" in tags:
        return NoImage(path, "no image", "a list of DICOM files (DICOMDIR)")
    if modality in NOT_IMAGES:
        return NoImage(path, "no image", describe_object(modality), series)
    if "Rows" not in tags and not _may_be_image(tags) and _ends_whole(path):
        return NoImage(path, "no image", describe_object(modality), series)
    return NoImage(path, "unreadable", "DICOM that is cut off or damaged", series)


def open_tags(path: Path) -> Any:
    """The elements of a file up to its voxels, as pydicom reads them; what it warns of is no matter here.

    Raises:
        ImportError: without pydicom.
        ValueError: for a damaged file.
    """
    import pydicom

    with quiet_pydicom():
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from warning of odd values, which it converts when they are looked at; they are checked here.

    Raises:
        ValueError: for whatever it raises about a damaged file.
    """
    with without_warnings():
        try:
            yield
        except (ImportError, MedSegError):
            raise
        except Exception as error:  # pydicom documents no list, and some derive from nothing else
            raise ValueError(str(error).splitlines()[0][:_SHOWN] if str(error) else type(error).__name__) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep Python's warnings about odd values in headers away: what matters is checked by whoever reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _may_be_image(tags: Any) -> bool:
    """Whether a file says by its SOP Class (0008,0016) that it holds an image, or no longer says what it holds."""
    kind = tags.get("SOPClassUID") or getattr(tags, "file_meta", {}).get("MediaStorageSOPClassUID")
    return not kind or "Image Storage" in str(getattr(kind, "name", ""))


def _ends_whole(path: Path) -> bool:
    """Whether all elements can be read to the end of the file."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            whole = pydicom.dcmread(path, force=True)
            return len(list(whole.iterall())) > 0
    except Exception:
        return False

"""Which format a file has: by its first bytes when reading, by its name when writing."""

from pathlib import Path
from typing import Literal, TypeAlias

from medseg.io.dicom_file import looks_like_dicom
from medseg.io.nifti_header import HEADER_BYTES, looks_like_nifti
from medseg.io.packed import first_bytes
from medseg.io.stored import refusal
from medseg.spec.errors import JobError

Format: TypeAlias = Literal["nifti", "nrrd", "metaimage", "dicom", "picture"]

LABELMAP_SUFFIX = ".labelmap.dcm"  # DICOM SEG with one number a voxel; plain .dcm has a bit a segment
READ_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd", LABELMAP_SUFFIX, ".dcm")
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"  # how such files begin
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
WRITE_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", LABELMAP_SUFFIX, ".dcm")  # the longer ones first
SEGMENT_SUFFIXES = (".seg.nrrd", LABELMAP_SUFFIX, ".dcm")  # of segments alone, with names and codes
LAYER_SUFFIXES = (".seg.nrrd", ".dcm")  # keep segments that overlap


def stored_format(path: Path) -> Format:
    """The format of an existing file or folder, whatever its name.

    Raises:
        ImageError: if it does not exist or is none of the formats.
    """
    if path.is_dir():
        return "dicom"
    if not path.exists():
        raise refusal(path, "there is no such file or folder; check the path")
    head = first_bytes(path, HEADER_BYTES)
    if not head:
        raise refusal(path, "the file is empty (0 bytes); get a whole copy")
    if head[128:132] == b"DICM":  # whatever stands before it: DICOM leaves these bytes to others
        return "dicom"
    if looks_like_nifti(head):
        return "nifti"
    if head.startswith(b"NRRD000"):
        return "nrrd"
    if looks_like_dicom(head):
        return "dicom"
    if b"NDims" in head and b"=" in head:
        return "metaimage"
    if head.startswith((PNG, JPEG)):
        return "picture"
    rule = f"an image is NIfTI, NRRD, MetaImage, DICOM, PNG or JPEG, and this file starts with {head[:16]!r}"
    raise refusal(path, f"{rule}; convert it to one of these")


def image_name(path: Path) -> str:
    """The name without folder and ending: ``scan.v1.nii.gz`` gives ``scan.v1``."""
    lower = path.name.lower()
    ending = next((suffix for suffix in (*READ_SUFFIXES, *PICTURE_SUFFIXES) if lower.endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)] or path.name


def image_files(folder: Path) -> list[Path]:
    """Files directly in a folder that can be read, by their endings, sorted; hidden ones are left out.

    Pictures count where there is nothing else: beside volumes they are previews.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    volumes, pictures = (
        [path for path in files if path.name.lower().endswith(suffixes)]
        for suffixes in (READ_SUFFIXES, PICTURE_SUFFIXES)
    )
    return volumes or pictures


def image_files_by_name(folder: Path) -> dict[str, Path]:
    """The same by name without ending.

    Raises:
        JobError: if two files have one name, as ``a.nii.gz`` and ``a.nrrd``: nobody could say which is meant.
    """
    found: dict[str, Path] = {}
    for path in image_files(folder):
        other = found.setdefault(image_name(path), path)
        if other is not path:
            msg = (
                f"{folder}: every case has a name of its own, and {other.name} and {path.name} are both called "
                f"{image_name(path)!r}; rename or remove one of them"
            )
            raise JobError(msg)
    return found


def is_labelmap_name(path: Path) -> bool:
    """Whether a name asks for a DICOM SEG with one number a voxel."""
    return path.name.lower().endswith(LABELMAP_SUFFIX)


def output_suffix(path: Path) -> str:
    """The ending that says how to write, in lower case.

    Raises:
        JobError: if the name ends in none that can be written.
    """
    lower = path.name.lower()
    for suffix in WRITE_SUFFIXES:
        if lower.endswith(suffix) and lower != suffix:
            return suffix
    msg = f"{path}: an output's name ends in {', '.join(WRITE_SUFFIXES)}, got {path.name!r}; choose one of these"
    raise JobError(msg)

"""The tags of a DICOM file and of its frames: GDCM reads those at the top, pydicom those in functional groups."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.io.dicom_file import NOT_IMAGES, open_tags, quiet_pydicom
from medseg.io.dicom_keys import PRIVATE_TAGS
from medseg.io.dicom_lengths import elements_fit
from medseg.io.dicom_slice import DicomSlice, slice_from
from medseg.io.itk import quiet_itk, sitk
from medseg.io.stored import refusal

# references to other images, whose tags are not the frame's
_REFERENCES = {"0008|1140", "0008|9124", "0008|9092", "0040|9096"}
_BY_PLACE = {
    "0020|0032",
    "0020|0037",
    "0020|9057",
    "0020|9113",
    "0020|9116",
}  # what a dimension may count beside groups
_ENHANCED = {f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "6.2", "128.1", "130")}


def read_tags(path: Path) -> DicomSlice | None:
    """Read the tags of a file; None when no image can be read from it. Of many frames those of the first count.

    Raises:
        ImageError: if a tag that should be numbers is not.
    """
    if not elements_fit(path):
        return None
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.LoadPrivateTagsOn()  # the b-values of some makers
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = _known({key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()})
    size = (*reader.GetSize(), 1, 1)
    shape = (int(size[1]), int(size[0]), int(size[2]))
    samples = int(reader.GetNumberOfComponents())
    piece = slice_from(path, tags, shape, samples=samples)
    is_placed = piece.position is not None and piece.axes is not None and piece.spacing is not None
    if (piece.frames == 1 and is_placed) or piece.modality in NOT_IMAGES:
        return piece
    groups = _functional_groups(piece)
    if not groups:
        return piece
    return replace(slice_from(path, tags | groups[0], shape, samples=samples), groups=groups)


def frames_of(piece: DicomSlice) -> list[DicomSlice]:
    """The frames of a file with functional groups, each as a slice with its own tags.

    Raises:
        ImageError: if a tag that should be numbers is not.
    """
    size = (piece.rows, piece.columns, piece.frames)
    top = {tag: text for tag, text in piece.tags.items() if tag not in piece.groups[0]}
    return [
        replace(slice_from(piece.path, top | own, size, samples=piece.samples, frame=number), groups=piece.groups)
        for number, own in enumerate(piece.groups)
    ]


def top_tags(piece: DicomSlice) -> Any:
    """The elements of a file before its voxels, for what GDCM gives no text of.

    Raises:
        ImageError: without pydicom, or if they cannot be read.
    """
    try:
        return open_tags(piece.path)
    except ImportError as error:
        raise _without_pydicom(piece) from error
    except ValueError as error:
        raise refusal(piece.path, f"its tags cannot be read ({error}); export it again") from error


def _without_pydicom(piece: DicomSlice) -> Exception:
    rule = (
        "the geometry of this file lies in functional groups, which takes the package pydicom to read, and it is absent"
    )
    return refusal(piece.path, f"{rule}; install pydicom, or convert the file to NIfTI with dcm2niix")


def _functional_groups(piece: DicomSlice) -> tuple[dict[str, str], ...]:
    """For each frame the tags of its functional groups, those of all frames included; empty where there are none.

    Raises:
        ImageError: if the file must have them and they cannot be read, or there are more or fewer than frames.
    """
    is_enhanced = piece.tags.get("0008|0016") in _ENHANCED
    try:
        groups = _groups_in(open_tags(piece.path))
    except ImportError as error:
        if is_enhanced:
            raise _without_pydicom(piece) from error
        return ()
    except ValueError as error:
        if not is_enhanced:
            return ()
        raise refusal(piece.path, f"its functional groups cannot be read ({error}); export it again") from error
    if len(groups) != piece.frames and (groups or is_enhanced):
        rule = f"a file has functional groups for each of its frames, {piece.frames}, got {len(groups)}"
        raise refusal(piece.path, f"{rule}; export it again")
    return groups


def _groups_in(whole: Any) -> tuple[dict[str, str], ...]:
    with quiet_pydicom():
        shared = whole.get("SharedFunctionalGroupsSequence") or []
        per_frame = whole.get("PerFrameFunctionalGroupsSequence") or []
        common = dict(pair for item in shared for pair in _flat(item))
        if not per_frame:
            return (common,) if common else ()
        dimensions = [
            (f"{pointer.group:04x}|{pointer.element:04x}", number)
            for number, item in enumerate(whole.get("DimensionIndexSequence") or [])
            if (pointer := item.get("DimensionIndexPointer")) is not None
        ]
        return tuple(common | dict(_flat(item)) | _indices(item, dimensions) for item in per_frame)


def _flat(item: Any) -> Iterator[tuple[str, str]]:
    """The elements of a functional group and of what lies in it, as texts."""
    for element in item:
        tag = f"{element.tag.group:04x}|{element.tag.element:04x}"
        if element.VR == "SQ":
            if tag not in _REFERENCES:
                for inner in element.value:
                    yield from _flat(inner)
        elif element.VR not in ("OB", "OW", "UN", "OF", "OD", "OL") and not element.is_empty:
            values = element.value if element.VM > 1 else [element.value]
            yield tag, "\\".join(map(str, values))


def _indices(item: Any, dimensions: list[tuple[str, int]]) -> dict[str, str]:
    """The index of a frame in each dimension of the file that is not its place, under a key of its own."""
    content = (item.get("FrameContentSequence") or [{}])[0]
    values = content.get("DimensionIndexValues") or []
    values = [values] if isinstance(values, int) else list(values)
    return {f"dimension {tag}": str(values[at]) for tag, at in dimensions if at < len(values) and tag not in _BY_PLACE}


def _known(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of the standard, and of private ones those whose maker has reserved them (PS3.5, 7.8.1)."""
    known = {tag: _text(text) for tag, text in tags.items() if int(tag[:4], 16) % 2 == 0}
    for tag, maker in PRIVATE_TAGS.items():
        if tag in tags and _text(tags.get(f"{tag[:5]}00{tag[5:7]}", "")) == maker:
            known[tag] = _text(tags[tag])
    return known


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip("\0 ")

"""Read an image or a labelmap from any supported file, checked before anyone computes with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.io.checks import check_affine, check_stored
from medseg.io.dicom import read_dicom
from medseg.io.dicom_results.read_seg import (
    is_segmentation,
    read_segment_specs,
    read_segmentation,
    read_segmentation_on,
)
from medseg.io.formats import Format, image_name, stored_format
from medseg.io.metaimage import read_metaimage
from medseg.io.nifti import read_nifti
from medseg.io.nrrd import read_nrrd
from medseg.io.nrrd_header import parse_header
from medseg.io.picture import picture_labels, read_picture
from medseg.io.segnrrd import segment_layers, segment_specs
from medseg.io.stored import Stored, refusal
from medseg.spec.labels import LabelSpec

_READERS = {"dicom": read_dicom, "picture": read_picture}
_OF_SEVERAL = {"nifti": read_nifti, "nrrd": read_nrrd, "metaimage": read_metaimage}  # volumes, perhaps


@dataclass(frozen=True, eq=False)
class Reading:
    """An image that was read, what the user should know about it, and a name for it."""

    image: Image
    warnings: tuple[str, ...]  # one sentence each, naming the file
    name: str  # of the file or folder, without its ending
    sources: tuple[Path, ...] = ()  # of DICOM the files that were read, in any order


def read_image(path: Path, *, frame: int | None = None, colours: bool = False, channels: int | None = 1) -> Reading:
    """Read NIfTI, NRRD, MetaImage, PNG, JPEG, a DICOM folder, or the series one DICOM file belongs to.

    The format is found by content, not by name. Voxels that are not numbers are replaced by the lowest that is.

    Args:
        path: file or folder.
        frame: which volume of several (time points, acquisitions of a DICOM series), counted from 0.
        colours: whether a picture is red, green and blue; else it must be grey.
        channels: how many volumes of a file, as Decathlon's data sets have them, are the channels of one image; None:
            any number. Not of DICOM, whose volumes are time points.

    Returns:
        ``(C, I, J, K)`` image in the file's own voxel type and grid, never resampled.

    Raises:
        ImageError: if the file is not whole, is no volume of real numbers, or its geometry is impossible.
    """
    stored = _decode(path, frame, colours=colours, channels=channels)
    image, warnings = check_stored(path, stored)
    name = image_name(path) if path.is_file() else path.resolve().name
    return Reading(image, warnings, name, stored.sources)


@dataclass(frozen=True, eq=False)
class LabelReading:
    """A labelmap that was read, and what its file calls the values."""

    image: Image  # (1, I, J, K)
    segments: tuple[LabelSpec, ...]  # with their values in the image; none where the file names none
    warnings: tuple[str, ...] = ()  # one sentence each, naming the file
    fields: Mapping[str, str] = field(default_factory=dict)  # of the header, that are not geometry


def read_labels(path: Path, like: Reading | None = None) -> Image:
    """Read a labelmap: whole numbers from 0 up, in the smallest unsigned type that holds them.

    Segments of a .seg.nrrd that lie in several layers are numbered 1..n in the order of the file. In a picture of black
    and white alone white is label 1.

    Args:
        path: any file ``read_image`` takes, a .seg.nrrd or a DICOM SEG.
        like: the image the labels belong to. A DICOM SEG, which holds the slices with a segment alone, is put onto its
            grid; all others lie on their own.

    Returns:
        ``(1, I, J, K)``

    Raises:
        ImageError: if a value is negative, broken or not whole, or segments overlap.
    """
    return _labels(path, _decode_labels(path, like))


def read_named_labels(path: Path, like: Reading | None = None) -> LabelReading:
    """Read a labelmap as ``read_labels`` does, which raises what this raises, and the names of its segments.

    Raises:
        ImageError: also if two segments have one value.
    """
    stored = _decode_labels(path, like)
    segments = segment_specs(path, stored.fields, len(stored.array))
    return LabelReading(_labels(path, stored), segments, stored.warnings, stored.fields)


def read_segments(path: Path) -> tuple[LabelSpec, ...]:
    """Read what a labelmap calls its segments, without its voxels; none where it names none.

    Raises:
        ImageError: if the header cannot be read.
    """
    if is_segmentation(path):
        return read_segment_specs(path)
    return segment_specs(path, parse_header(path).pairs) if stored_format(path) == "nrrd" else ()


def _labels(path: Path, stored: Stored) -> Image:
    check_affine(path, stored.affine, shear_explained=stored.shear_explained)
    array = stored.array
    if array.shape[0] > 1:
        array = _flatten(path, stored)
    return Image(_whole_numbers(path, array), stored.affine, spacing_known=stored.spacing_known)


def read_layers(path: Path, like: Reading | None = None) -> Image:
    """Read all layers of a .seg.nrrd or DICOM SEG, with segments that overlap; arguments as of ``read_labels``.

    Returns:
        ``(N, I, J, K)``; segments keep their numbers, but where two of different layers have the same, as Slicer
        numbers them, all are numbered 1..n in the order of the file.

    Raises:
        ImageError: as ``read_labels``, but for overlap.
    """
    stored = _decode_labels(path, like)
    check_affine(path, stored.affine, shear_explained=stored.shear_explained)
    array = _whole_numbers(path, stored.array)
    segments = segment_layers(path, stored.fields)
    if len({value for _, _, value in segments}) < len(segments):
        numbered = np.zeros(array.shape, np.min_scalar_type(len(segments)))
        for number, (name, layer, value) in enumerate(segments, start=1):
            _check_layer(path, name, layer, len(array))
            numbered[layer][array[layer] == value] = number
        array = numbered
    return Image(array, stored.affine, spacing_known=stored.spacing_known)


def _decode_labels(path: Path, like: Reading | None) -> Stored:
    with _readable(path):
        if is_segmentation(path):
            return read_segmentation(path) if like is None else read_segmentation_on(path, like.image, like.sources)
        kind = stored_format(path)
        if kind == "nrrd":
            return read_nrrd(path, channels=None)
        if kind == "picture":
            stored = read_picture(path)
            return replace(stored, array=picture_labels(path, stored.array))
        return _by_format(kind, path)


def _decode(path: Path, frame: int | None, *, colours: bool, channels: int | None) -> Stored:
    with _readable(path):
        kind = stored_format(path)
        if kind == "picture" and colours:
            return read_picture(path, frame=frame, colours=True)
        return _by_format(kind, path, frame, channels)


def _by_format(kind: Format, path: Path, frame: int | None = None, channels: int | None = 1) -> Stored:
    if kind in _OF_SEVERAL:
        return _OF_SEVERAL[kind](path, frame=frame, channels=channels)
    return _READERS[kind](path, frame=frame)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of a file that the system does not let be read why; raises ``ImageError``."""
    try:
        yield
    except OSError as error:
        raise refusal(path, f"the file cannot be read ({error.strerror or error}); check its permissions") from error


def _flatten(path: Path, stored: Stored) -> NDArray[Any]:
    """Several layers as one labelmap."""
    segments = segment_layers(path, stored.fields)
    if not segments:
        rule = f"a labelmap has one number a voxel, got {stored.array.shape[0]}; save one volume alone"
        raise refusal(path, rule)
    flat = np.zeros(stored.array.shape[1:], dtype=np.uint16)
    for number, (name, layer, value) in enumerate(segments, start=1):
        _check_layer(path, name, layer, stored.array.shape[0])
        mask = stored.array[layer] == value
        if flat[mask].any():
            rule = f"segments may not overlap in one labelmap, and {name!r} overlaps another; save them apart"
            raise refusal(path, rule)
        flat[mask] = number
    return flat[None]


def _check_layer(path: Path, name: str, layer: int, count: int) -> None:
    if layer >= count:
        raise refusal(path, f"segment {name!r} lies in layer {layer}, and there are {count}; save it again")


def _whole_numbers(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        odd = array[~(array == np.round(array))]  # NaN is odd too, infinity is caught below
        if odd.size:
            rule = f"labels are whole numbers, got {odd[0]:g} ({odd.size:,} such voxels); threshold it first"
            raise refusal(path, rule)
    lowest, highest = array.min(), array.max()
    if lowest < 0 or highest > np.iinfo(np.uint32).max:
        rule = f"labels are 0 (background) or larger, got {lowest:g}..{highest:g}; give every label its own number"
        raise refusal(path, rule)
    return array.astype(np.min_scalar_type(int(highest)))

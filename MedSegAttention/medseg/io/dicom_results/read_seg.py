"""DICOM SEG of any program in: its segments as the layers, names and codes that a .seg.nrrd has.

Read frame by frame rather than by highdicom's ``get_volume``, which refuses tilted and unevenly spaced series.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.imaging.lattice import SAME_PLACE_MM, place_on
from medseg.io.dicom_file import CLASS, has_mark, meta_uid, without_warnings
from medseg.io.dicom_results.optional import LIBRARY_ERRORS, require_highdicom
from medseg.io.dicom_results.segment_items import segments_of
from medseg.io.dicom_results.source import open_source
from medseg.io.segnrrd import segment_pairs
from medseg.io.stored import LPS_TO_RAS, Stored, refusal
from medseg.spec.labels import LabelSpec

SEGMENTATION, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"  # SOP classes
SAME_AXES = 1e-3  # of their components
EVEN = 0.01  # of the step: how far a frame may lie from a whole number of steps


@dataclass(frozen=True, eq=False)
class _Frame:
    """A stored plane."""

    segment: int  # number; of a label map 0: all of them
    position: NDArray[np.float64] | None  # LPS mm
    source: str  # SOP Instance UID of the image it was made from; "" where it does not say


@dataclass(frozen=True, eq=False)
class _Content:
    """A file, decoded."""

    path: Path
    planes: NDArray[Any]  # (F, J, I)
    frames: list[_Frame]
    specs: tuple[LabelSpec, ...]
    axes: NDArray[np.float64] | None  # (2, 3), LPS
    spacing: tuple[float, float]  # between rows, between columns
    step: float | None  # mm between slices, where the file says it
    warnings: tuple[str, ...]


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation, by the class in its first bytes."""
    return path.is_file() and has_mark(path) and meta_uid(path, CLASS) in (SEGMENTATION, LABELMAP)


def read_segmentation(path: Path) -> Stored:
    """Read the segments on the file's own grid: from the first to the last slice that is stored.

    Returns:
        ``(N, I, J, K)`` with segment numbers as values, in as few layers as hold them; names and codes in ``fields``,
        as in a .seg.nrrd.

    Raises:
        ImageError: if it cannot be decoded, or its slices are not evenly spaced.
        MissingDependency: if highdicom is not installed.
    """
    content = _content(path)
    return _stored(content, _own_grid(content))


def read_segmentation_on(path: Path, grid: Image, files: Sequence[Path] = ()) -> Stored:
    """Read the segments on the grid of an image; voxels are never resampled.

    Args:
        path: of the segmentation.
        grid: ``(C, I, J, K)``, any image on it.
        files: of the DICOM series that the image was read from. Where frames say which of them they were made from,
            they lie there, however uneven the slices are.

    Raises:
        ImageError: also if the segments do not lie on the voxels of the image.
    """
    content = _content(path)
    by_source = _by_source(content, grid, files) if files else None
    if by_source is not None:
        return _stored(content, by_source)
    placed = place_on(_own_grid(content), grid.shape, grid.affine)
    if placed is None:
        rule = "its voxels are not those of the image it belongs to"
        raise refusal(path, f"{rule}; give the image it was made from, or resample it in 3D Slicer")
    return _stored(content, placed)


def read_segment_specs(path: Path) -> tuple[LabelSpec, ...]:
    """Names, colours and codes of the segments, with their numbers as values; voxels are not read.

    Raises:
        ImageError: if the header cannot be read.
        MissingDependency: if highdicom is not installed.
    """
    require_highdicom(f"{path}: reading a DICOM SEG")
    import pydicom

    try:
        with without_warnings():
            return segments_of(pydicom.dcmread(path, stop_before_pixels=True))
    except (OSError, pydicom.errors.InvalidDicomError, *LIBRARY_ERRORS) as error:
        raise refusal(path, f"its segments cannot be read ({error}); export it again") from error


def _stored(content: _Content, labels: Image) -> Stored:
    fields = segment_pairs(labels, content.specs)
    return Stored(labels.array, labels.affine, content.warnings, shear_explained=True, fields=fields)


def _content(path: Path) -> _Content:
    require_highdicom(f"{path}: reading a DICOM SEG")
    import pydicom

    try:
        with without_warnings():
            data = pydicom.dcmread(path)
            planes = np.asarray(data.pixel_array)
            planes = planes.reshape(-1, int(data.Rows), int(data.Columns))
            return _understood(path, data, planes)
    except (OSError, pydicom.errors.InvalidDicomError, *LIBRARY_ERRORS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        rule = f"a DICOM SEG is expected, and this one cannot be read ({reason})"
        raise refusal(path, f"{rule}; export it again") from error


def _understood(path: Path, data: Any, planes: NDArray[Any]) -> _Content:
    shared = data.SharedFunctionalGroupsSequence[0]
    groups = list(data.PerFrameFunctionalGroupsSequence)
    orientation = _macro(shared, groups[0], "PlaneOrientationSequence")
    measures = _macro(shared, groups[0], "PixelMeasuresSequence")
    rows, columns = (float(value) for value in (measures.PixelSpacing if measures is not None else (1, 1)))
    step = None if measures is None else measures.get("SpacingBetweenSlices")
    warnings: tuple[str, ...] = ()
    if str(data.get("SegmentationType", "")) == "FRACTIONAL":
        top = int(data.get("MaximumFractionalValue", 255))
        planes = planes >= top / 2  # twice a voxel's value need not fit into its type
        warnings = (f"{path}: its segments are fractional; a voxel counts from one half on",)
    is_map = str(data.SOPClassUID) == LABELMAP
    frames = []
    for group in groups:
        place = _macro(shared, group, "PlanePositionSequence")
        identity = _macro(shared, group, "SegmentIdentificationSequence")
        frames.append(
            _Frame(
                0 if is_map else int(identity.ReferencedSegmentNumber),
                None if place is None else np.array([float(value) for value in place.ImagePositionPatient]),
                _source_of(_macro(shared, group, "DerivationImageSequence")),
            )
        )
    specs = segments_of(data)
    used = set(np.unique(planes).tolist()) if is_map else {frame.segment for frame in frames}
    unknown = sorted(used - {0} - {spec.value for spec in specs})
    if unknown:
        rule = f"every segment with voxels is described in Segment Sequence (0062,0002), and {unknown[0]} is not"
        raise refusal(path, f"{rule}; export it again")
    axes = None
    if orientation is not None:
        axes = np.array([float(value) for value in orientation.ImageOrientationPatient]).reshape(2, 3)
    return _Content(path, planes, frames, specs, axes, (rows, columns), None if not step else float(step), warnings)


def _macro(shared: Any, own: Any, name: str) -> Any:
    """An item that is the same for all frames or the frame's own; None where there is none."""
    found = own.get(name) or shared.get(name)
    return found[0] if found else None


def _source_of(derivation: Any) -> str:
    images = None if derivation is None else derivation.get("SourceImageSequence")
    return str(images[0].ReferencedSOPInstanceUID) if images else ""


def _by_source(content: _Content, grid: Image, files: Sequence[Path]) -> Image | None:
    """The segments where the images lie that their frames were made from; None where these are others."""
    wanted = {frame.source for frame in content.frames}
    if len(files) != grid.shape[2] or content.planes.shape[1:] != (grid.shape[1], grid.shape[0]):
        return None
    headers = open_source(files, grid).headers
    ranks = {str(header.SOPInstanceUID): k for k, header in enumerate(headers)}
    if not wanted <= set(ranks):
        return None
    if not all(_lies_on(content, frame, headers[ranks[frame.source]]) for frame in content.frames):
        return None
    return _layered(content, [ranks[frame.source] for frame in content.frames], grid)


def _lies_on(content: _Content, frame: _Frame, header: Any) -> bool:
    """Whether a frame has the pixels of the image that it was made from: some programs turn rows or columns over."""
    place, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if frame.position is None or content.axes is None or not place or not axes:
        return True  # a radiograph, which lies nowhere
    turned = np.abs(np.array(axes, dtype=np.float64).reshape(2, 3) - content.axes).max()
    moved = np.linalg.norm(np.array(place, dtype=np.float64) - frame.position)
    return bool(turned < SAME_AXES and moved < SAME_PLACE_MM)


def _own_grid(content: _Content) -> Image:
    """The segments on the grid that the stored frames lie on.

    Raises:
        ImageError: if there is none.
    """
    places = [frame.position for frame in content.frames if frame.position is not None]
    if content.axes is None or len(places) < len(content.frames):
        rule = "its frames do not say where they lie (a segmentation of a radiograph)"
        raise refusal(content.path, f"{rule}; it is read only beside the image it was made from")
    normal = np.cross(*content.axes)
    heights = np.array([normal @ place for place in places])
    step = _step(content, heights)
    steps = (heights - heights.min()) / step
    numbers = np.round(steps).astype(int)
    lowest, highest = places[int(numbers.argmin())], places[int(numbers.argmax())]
    count = int(numbers.max()) + 1
    along = (highest - lowest) / (count - 1) if count > 1 else normal * step
    off = max(float(np.linalg.norm(lowest + along * n - place)) for n, place in zip(numbers, places, strict=True))
    if off > max(SAME_PLACE_MM, EVEN * step):
        rule = f"its slices are not evenly spaced (off by {off:.2f} mm)"
        raise refusal(content.path, f"{rule}; it is read only beside the DICOM series it was made from")
    lps = np.eye(4)
    lps[:3, :3] = np.column_stack([content.axes[0] * content.spacing[1], content.axes[1] * content.spacing[0], along])
    lps[:3, 3] = lowest
    _, rows, columns = content.planes.shape
    grid = Image(np.broadcast_to(np.uint8(0), (1, columns, rows, count)), LPS_TO_RAS @ lps)
    return _layered(content, [int(number) for number in numbers], grid)


def _step(content: _Content, heights: NDArray[np.float64]) -> float:
    """Millimetres between slices: what the file says where that fits, else the smallest distance there is."""
    apart = np.diff(np.unique(np.round(heights, 3)))
    said = content.step
    if said is not None and said > 0 and (np.abs(apart / said - np.round(apart / said)) * said < SAME_PLACE_MM).all():
        return said
    return float(apart.min()) if len(apart) else said or 1.0


def _layered(content: _Content, ranks: Sequence[int], grid: Image) -> Image:
    """Each segment in the first layer where it covers no other."""
    dtype = np.min_scalar_type(max([spec.value for spec in content.specs], default=1))
    layers: list[NDArray[Any]] = []
    for spec in content.specs:
        masks: Mapping[int, NDArray[np.bool_]] = _masks(content, ranks, spec.value)
        free = (each for each in layers if not any(each[:, :, k][mask].any() for k, mask in masks.items()))
        layer = next(free, None)
        if layer is None:
            layer = np.zeros(grid.shape, dtype)
            layers.append(layer)
        for k, mask in masks.items():
            layer[:, :, k][mask] = spec.value
    return Image(np.stack(layers or [np.zeros(grid.shape, dtype)]), grid.affine)


def _masks(content: _Content, ranks: Sequence[int], value: int) -> dict[int, NDArray[np.bool_]]:
    """The planes ``(I, J)`` of a segment, by k."""
    found: dict[int, NDArray[np.bool_]] = {}
    for plane, frame, k in zip(content.planes, content.frames, ranks, strict=True):
        if frame.segment in (0, value):
            pixels = plane.T
            mask = pixels == value if frame.segment == 0 else pixels != 0
            found[k] = found[k] | mask if k in found else mask
    return found

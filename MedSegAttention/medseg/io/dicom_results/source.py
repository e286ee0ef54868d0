"""The DICOM series a result is about: its headers in the order of the grid's slices, fit to be referred to."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.io.dicom_file import without_warnings
from medseg.io.dicom_results.optional import LIBRARY_ERRORS
from medseg.io.stored import LPS_TO_RAS, refusal

Header: TypeAlias = Any  # pydicom's Dataset, whose attributes are those of DICOM

SAME_PLACE_MM = 0.05  # corners of a slice in the file and in the image; headers have a few decimals
UNEVEN = 0.01  # of the usual distance: what highdicom still takes for regular
# Attributes of type 2: they must be there and may be empty.
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
NEEDED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The images that a segmentation refers to.

    Attributes:
        headers: without pixels: one a slice in the order of the grid's k, or one of a file with all frames.
        order: of one file with all frames, the k of each frame; else None.
        warnings: sentences for the user.
        place: the file, or the folder of the files.
        spacing: mm between slices where it is one; else None.
    """

    headers: tuple[Header, ...]
    order: tuple[int, ...] | None
    warnings: tuple[str, ...]
    place: Path
    spacing: float | None = None


def open_source(paths: Sequence[Path], grid: Image) -> DicomSource:
    """Read the headers of a series and put them into the order of a grid.

    Args:
        paths: the files, in any order.
        grid: of the result; an image on it, ``(C, I, J, K)``, k across the slices.

    Raises:
        ImageError: if a file is not DICOM, a UID that must be referred to is missing, or the slices are not those of
            the grid.
    """
    headers = [_header(path) for path in paths]
    place = paths[0] if len(paths) == 1 else paths[0].parent
    said = _completed(place, paths, headers)
    if len(headers) == 1 and int(headers[0].get("NumberOfFrames") or 1) > 1:
        positions, axes = _frame_places(paths[0], headers[0])
        ranks = _ranks(place, positions, axes, headers[0], grid)
        odd, _ = _irregular(place, positions, ranks, axes)
        return DicomSource((headers[0],), tuple(ranks), (*said, *odd), place)
    if len(headers) > 1 and any("PerFrameFunctionalGroupsSequence" in header for header in headers):
        rule = f"a DICOM SEG refers to one enhanced file with all frames, and the series lies in {len(headers)} of them"
        raise refusal(place, f"{rule}; choose .seg.nrrd for the output")
    if len(headers) > 1 and not headers[0].get("PixelSpacing"):
        rule = "a DICOM SEG needs Pixel Spacing (0028,0030), which the headers lack"
        raise refusal(place, f"{rule}; choose .seg.nrrd for the output")
    if "ImagePositionPatient" not in headers[0] or "ImageOrientationPatient" not in headers[0]:
        if len(headers) == 1 and grid.shape[2] == 1:  # a radiograph: the pixels of the one image
            _check_size(place, headers[0], grid)
            return DicomSource((headers[0],), None, tuple(said), place)
        rule = "a DICOM SEG needs slices with Image Position and Orientation (0020,0032 and 0020,0037), and these have"
        raise refusal(place, f"{rule} none; choose .seg.nrrd for the output")
    positions = np.array([[float(value) for value in header.ImagePositionPatient] for header in headers])
    axes = np.array([float(value) for value in headers[0].ImageOrientationPatient]).reshape(2, 3)
    ranks = _ranks(place, positions, axes, headers[0], grid)
    ordered = [headers[n] for n in np.argsort(ranks)]
    odd, spacing = _irregular(place, positions, ranks, axes)
    return DicomSource(tuple(ordered), None, (*said, *odd), place, spacing)


def _header(path: Path) -> Header:
    """All tags but the pixels.

    Raises:
        ImageError: if it is not DICOM.
    """
    import pydicom

    try:
        with without_warnings():
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            if not len(header):
                raise refusal(path, "a DICOM file is expected, and this holds no tags; choose a file of the series")
            return header
    except (OSError, pydicom.errors.InvalidDicomError, *LIBRARY_ERRORS) as error:
        raise refusal(path, f"its DICOM header cannot be read ({error}); export the series again") from error


def _completed(place: Path, paths: Sequence[Path], headers: Sequence[Header]) -> list[str]:
    """Fill in what may be empty; refuse what cannot be made up."""
    import pydicom

    absent: set[str] = set()
    made_up = pydicom.uid.generate_uid() if not headers[0].get("FrameOfReferenceUID") else ""
    for path, header in zip(paths, headers, strict=True):
        if not header.get("SOPClassUID"):
            header.SOPClassUID = header.get("file_meta", {}).get("MediaStorageSOPClassUID", "")
        for name in NEEDED_UIDS:
            if not header.get(name):
                rule = f"a segmentation refers to its images by UID, and {name} is missing here"
                raise refusal(path, f"{rule}; export the series again, or choose .seg.nrrd for the output")
        for name in MAY_BE_EMPTY:
            if name not in header:
                absent.add(name)
                setattr(header, name, "")
        if made_up and "ImagePositionPatient" in header:
            header.FrameOfReferenceUID = made_up
    said = []
    if absent:
        said.append(f"{place}: the headers lack {', '.join(sorted(absent))}; the DICOM result has them empty")
    if made_up and "ImagePositionPatient" in headers[0]:
        said.append(
            f"{place}: the headers lack FrameOfReferenceUID; the DICOM result has a new one, and viewers may not lay "
            "it over the series"
        )
    return said


def _frame_places(path: Path, header: Header) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions ``(F, 3)`` and axes ``(2, 3)`` of the frames of a file, LPS mm."""
    try:
        shared, frames = header.SharedFunctionalGroupsSequence[0], header.PerFrameFunctionalGroupsSequence
        positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
        group = shared if "PlaneOrientationSequence" in shared else frames[0]
        axes = group.PlaneOrientationSequence[0].ImageOrientationPatient
        return np.array(positions, dtype=np.float64), np.array(axes, dtype=np.float64).reshape(2, 3)
    except (*LIBRARY_ERRORS,) as error:
        rule = f"a DICOM SEG needs the place of every frame in the functional groups ({error})"
        raise refusal(path, f"{rule}; choose .seg.nrrd for the output") from error


def _ranks(
    place: Path, positions: NDArray[np.float64], axes: NDArray[np.float64], header: Header, grid: Image
) -> list[int]:
    """The k of each slice.

    Raises:
        ImageError: if there are more or less of them than in the grid, or they lie elsewhere.
    """
    _check_size(place, header, grid)
    if len(positions) != grid.shape[2]:
        rule = f"the series has {len(positions)} slices or frames, and the result {grid.shape[2]}"
        raise refusal(place, f"{rule}; a DICOM SEG is written on the slices of its series: choose .seg.nrrd")
    to_voxels = np.linalg.inv(LPS_TO_RAS @ grid.affine)
    along = (positions @ to_voxels[:3, :3].T + to_voxels[:3, 3])[:, 2]
    ranks = np.empty(len(positions), dtype=int)
    ranks[np.argsort(along)] = np.arange(len(positions))
    lps = LPS_TO_RAS @ grid.affine
    far = np.array([grid.shape[0] - 1.0, grid.shape[1] - 1.0])
    spacing = _pixel_spacing(header)
    for n in (int(np.argmin(ranks)), int(np.argmax(ranks))):
        for i, j in ((0.0, 0.0), (far[0], 0.0), (0.0, far[1])):
            told = positions[n] + axes[0] * i * spacing[1] + axes[1] * j * spacing[0]
            off = float(np.linalg.norm((lps @ [i, j, ranks[n], 1.0])[:3] - told))
            if off > SAME_PLACE_MM:
                rule = f"the slices of the series and those of the result lie {off:.2f} mm apart"
                raise refusal(place, f"{rule}; a DICOM SEG is written on the grid of its series: choose .seg.nrrd")
    return [int(rank) for rank in ranks]


def _check_size(place: Path, header: Header, grid: Image) -> None:
    size = int(header.get("Columns") or 0), int(header.get("Rows") or 0)
    if size != grid.shape[:2]:
        rule = (
            f"the images of the series have {size[0]} x {size[1]} pixels, the result {grid.shape[0]} x {grid.shape[1]}"
        )
        raise refusal(place, f"{rule}; a DICOM SEG is written on the grid of its series: choose .seg.nrrd")


def _pixel_spacing(header: Header) -> tuple[float, float]:
    found = header.get("PixelSpacing")
    if not found and "SharedFunctionalGroupsSequence" in header:
        groups = (header.SharedFunctionalGroupsSequence[0], header.PerFrameFunctionalGroupsSequence[0])
        measures = next((group.PixelMeasuresSequence[0] for group in groups if "PixelMeasuresSequence" in group), None)
        found = None if measures is None else measures.get("PixelSpacing")
    rows, columns = (float(value) for value in found or (1.0, 1.0))
    return rows, columns


def _irregular(
    place: Path, positions: NDArray[np.float64], ranks: Sequence[int], axes: NDArray[np.float64]
) -> tuple[list[str], float | None]:
    """The warning about series that other programs refuse to stack; and the distance of slices where it is one."""
    ordered = positions[np.argsort(ranks)]
    normal = np.cross(*axes)
    steps = np.array([after - before for before, after in pairwise(ordered)])
    if not len(steps):
        return [], None
    along = np.abs(steps @ normal)
    usual = float(np.median(along))
    whole = np.maximum(np.round(along / usual), 1)  # a missing slice leaves the others in their places
    is_uneven = bool((np.abs(along - usual * whole) > UNEVEN * usual).any())
    aside = np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1)
    is_shifted = bool((aside > UNEVEN * usual).any())
    if not is_uneven and not is_shifted:
        return [], usual
    why = "tilted (each slice is shifted against the one before)" if is_shifted else "unevenly spaced"
    sentence = (
        f"{place}: the slices are {why}; the DICOM SEG has each frame at its true place, but programs that make a "
        "volume of it (3D Slicer, dcmqi, highdicom) may refuse it or bend it: look at it there, or write .seg.nrrd too"
    )
    return [sentence], None

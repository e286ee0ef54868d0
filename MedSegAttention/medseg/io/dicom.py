"""A DICOM series: taken apart into its acquisitions, sorted by position, and every irregularity said aloud."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.io.dicom_acquisitions import Acquisition, acquisitions, choices
from medseg.io.dicom_folder import one_series, read_folder
from medseg.io.dicom_frames import CONVERT, place_frames
from medseg.io.dicom_header import frames_of, read_tags
from medseg.io.dicom_heights import heights_of
from medseg.io.dicom_projection import is_projection, read_projection
from medseg.io.dicom_slice import DicomSlice
from medseg.io.dicom_stack import place
from medseg.io.dicom_values import odd_values
from medseg.io.dicom_voxels import read_stack
from medseg.io.stored import Stored, check_frame, refusal

_MOSAIC_COUNT = "0019|100a"  # of Siemens


def read_dicom(path: Path, *, frame: int | None = None) -> Stored:
    """Read the series in a folder, or the series one file of a folder belongs to; a radiograph alone.

    Slices of different acquisitions (time points, echoes, b-values, repeats) are never put into one volume. Slices keep
    their voxels: where distances vary, the affine holds the mean step along the line from the first to the last slice,
    which for a tilted gantry is the true, sheared direction.

    Args:
        path: folder or file.
        frame: which acquisition, counted from 0, when the series has several.

    Returns:
        ``(1, I, J, K)``

    Raises:
        ImageError: if there is no image, more than one series, or the slices do not belong on one grid.
    """
    alone = read_tags(path) if path.is_file() else None
    if alone is not None and is_projection(alone):
        return read_projection(path, [alone], frame=frame)
    files, warnings = one_series(path, read_folder(path if path.is_dir() else path.parent))
    if any(map(is_projection, files)):
        stored = read_projection(path, files, frame=frame)
        return replace(stored, warnings=(*warnings, *stored.warnings))
    _refuse_mosaic(files)
    slices, said = _frames(path, files)
    _refuse_mixed(path, slices)
    heights = heights_of(slices)
    found, noticed = acquisitions(path, slices, heights)
    chosen = _chosen(path, found, frame).slices
    affine, seen, tilted = place(path, chosen, heights)
    array, heard = read_stack(chosen)
    return Stored(
        array[None],
        affine,
        (*warnings, *said, *noticed, *seen, *odd_values(path, chosen, array), *heard),
        shear_explained=tilted,
        spacing_known=chosen[0].spacing is not None,
        modality=chosen[0].modality,
        sources=tuple(dict.fromkeys(piece.path for piece in chosen)),
    )


def _frames(path: Path, files: Sequence[DicomSlice]) -> tuple[list[DicomSlice], list[str]]:
    """Every slice of these files, with its place."""
    single = [piece for piece in files if piece.frames == 1]
    if single and len(single) < len(files):
        many = next(piece for piece in files if piece.frames > 1)
        rule = f"the files of a series have one frame each or many, and {single[0].path.name} has 1, {many.path.name}"
        raise refusal(path, f"{rule} {many.frames}; move one kind into a folder of its own")
    slices: list[DicomSlice] = []
    sentences: list[str] = []
    for piece in files:
        if piece.is_enhanced:
            slices += frames_of(piece)
        elif piece.frames > 1:
            frames, said = place_frames(piece)
            slices += frames
            sentences += said
        else:
            slices.append(piece)
    unplaced = next((each for each in slices if each.frames > 1 and (each.position is None or each.axes is None)), None)
    if unplaced is not None:
        rule = f"its {unplaced.frames} frames must have a position and axes each, and frame {unplaced.frame} has none"
        raise refusal(unplaced.path, f"{rule}; {CONVERT}")
    return slices, sentences


def _chosen(path: Path, found: Sequence[Acquisition], frame: int | None) -> Acquisition:
    if frame is None and len(found) > 1:
        raise refusal(path, choices(found))
    return found[check_frame(path, frame or 0, len(found))]


def _refuse_mosaic(files: Sequence[DicomSlice]) -> None:
    for piece in files:
        kinds = piece.tags.get("0008|0008", "").upper().split("\\")
        tiles = piece.numbers(_MOSAIC_COUNT, 1) if "SIEMENS" in piece.tags.get("0008|0070", "").upper() else None
        if {"MOSAIC", "VFRAME"} & set(kinds) or (tiles and tiles[0] > 1):
            rule = "a file holds one slice, and this is a mosaic, many slices as tiles of one picture"
            raise refusal(piece.path, f"{rule} (Image Type 0008,0008: {'/'.join(kinds)}); {CONVERT}")


def _refuse_mixed(path: Path, slices: Sequence[DicomSlice]) -> None:
    first = slices[0]
    for piece in slices:
        if piece.samples != 1:
            kind = piece.tags.get("0028|0004", "colour")
            rule = f"a voxel is one number, and these have {piece.samples} (colour: {kind})"
            raise refusal(piece.path, f"{rule}; choose a grey series")
        if (piece.rows, piece.columns) != (first.rows, first.columns):
            rule = f"all slices are {first.columns} x {first.rows}, got {piece.columns} x {piece.rows}"
            raise refusal(piece.path, f"{rule}; move that file away or export the series again")
        for name, tag in (("position", "0020,0032"), ("axes", "0020,0037"), ("spacing", "0028,0030")):
            mine, others = getattr(piece, name), getattr(first, name)
            if (mine is None) != (others is None):
                rule = f"all slices or none have the tag ({tag}), and {piece.name} and {first.name} differ"
                raise refusal(path, f"{rule}; export the series again")
        if piece.axes is not None and np.abs(np.linalg.norm(piece.axes, axis=1) - 1).max() > 1e-2:
            rule = f"Image Orientation (0020,0037) is two directions of length 1, got {_vector(piece)}"
            raise refusal(piece.path, f"{rule}; export the series again")
        if piece.axes is not None and first.axes is not None and np.abs(piece.axes - first.axes).max() > 1e-2:
            rule = f"all slices have the orientation {_vector(first)}, got {_vector(piece)}"
            raise refusal(piece.path, f"{rule}; move localizers away from the series")
        if (
            piece.spacing is not None
            and first.spacing is not None
            and not np.allclose(piece.spacing, first.spacing, rtol=1e-3)
        ):
            rule = f"all slices have one pixel spacing, {first.spacing} mm as in {first.name}, got {piece.spacing} mm"
            raise refusal(piece.path, f"{rule}; export the series again")


def _vector(piece: DicomSlice) -> str:
    return "" if piece.axes is None else " ".join(f"{value:.3f}" for value in piece.axes.ravel())

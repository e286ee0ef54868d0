"""A DICOM series: its slices sorted by position, and every irregularity said aloud."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.io.dicom_projection import is_projection, read_projection
from medseg.io.dicom_slice import NOT_IMAGES, DicomSlice, is_dicom, read_tags, read_voxels
from medseg.io.stored import LPS_TO_RAS, Stored, pick_frame, refusal

SAME_PLACE_MM = 0.01
UNEVEN = 0.02  # of the usual distance between slices
TILT_DEGREES = 0.1


def read_dicom(path: Path, *, frame: int | None = None) -> Stored:
    """Read the series in a folder, or the series one file of a folder belongs to; a radiograph alone.

    Slices keep their voxels: where distances vary, the affine holds the mean step along the line from the first to the
    last slice, which for a tilted gantry is the true, sheared direction.

    Args:
        path: folder or file.
        frame: which time point, counted from 0, when every position was acquired several times.

    Returns:
        ``(1, I, J, K)``

    Raises:
        ImageError: if there is no image, more than one series, or the slices do not belong on one grid.
    """
    alone = read_tags(path) if path.is_file() else None
    if alone is not None and is_projection(alone):
        return read_projection(path, [alone], frame=frame)
    slices, warnings = _one_series(path)
    if any(map(is_projection, slices)):
        stored = read_projection(path, slices, frame=frame)
        return replace(stored, warnings=(*warnings, *stored.warnings))
    _refuse_mixed(path, slices)
    if slices[0].frames > 1:
        return _multi_frame(path, slices, warnings)
    stacks, noticed = _sorted(path, slices)
    chosen = stacks[int(pick_frame(path, np.arange(len(stacks)).reshape(-1, 1, 1, 1), frame)[0, 0, 0, 0])]
    affine, seen, tilted = _place(path, chosen)
    array = np.stack([read_voxels(piece)[:, :, 0] for piece in chosen], axis=-1)[None]
    known, modality = chosen[0].spacing is not None, chosen[0].modality
    said = (*warnings, *noticed, *seen)
    files = tuple(piece.path for piece in chosen)
    return Stored(array, affine, said, shear_explained=tilted, spacing_known=known, modality=modality, sources=files)


def _one_series(path: Path) -> tuple[list[DicomSlice], list[str]]:
    folder = path if path.is_dir() else path.parent
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name != "DICOMDIR" and is_dicom(file)]
    found = [(file, read_tags(file)) for file in files]
    series: defaultdict[str, list[DicomSlice]] = defaultdict(list)
    for _, piece in found:
        if piece is not None and piece.modality not in NOT_IMAGES:
            series[piece.series].append(piece)
    skipped = [file.name for file, piece in found if piece is None or piece.modality in NOT_IMAGES]
    warnings = [f"{folder}: left out {len(skipped)} DICOM files without an image, e.g. {skipped[0]}"] if skipped else []
    if path.is_file():
        own = next((key for key, pieces in series.items() if any(piece.path == path for piece in pieces)), None)
        if own is None:
            raise refusal(
                path, "a DICOM file with an image is expected, and this holds none; choose a file of the series"
            )
        return series[own], warnings
    if not series:
        rule = f"a folder must hold DICOM images, and none of its {len(list(folder.iterdir()))} entries is one"
        raise refusal(path, f"{rule}; give the folder that holds the slices")
    if len(series) > 1:
        listed = "; ".join(_describe(pieces) for pieces in series.values())
        raise refusal(
            path, f"one series is expected, got {len(series)}: {listed}; give one file of the series you want"
        )
    return next(iter(series.values())), warnings


def _describe(pieces: Sequence[DicomSlice]) -> str:
    first = pieces[0]
    size = f"{first.columns} x {first.rows} x {len(pieces)}"
    return f"{first.modality or 'unknown'} {first.description!r} {size} (e.g. {first.path.name})"


def _refuse_mixed(path: Path, slices: Sequence[DicomSlice]) -> None:
    first = slices[0]
    for piece in slices:
        if piece.samples != 1:
            raise refusal(
                piece.path, f"a voxel is one number, and these have {piece.samples} (colour); choose a grey series"
            )
        if (piece.rows, piece.columns) != (first.rows, first.columns):
            rule = f"all slices are {first.columns} x {first.rows}, got {piece.columns} x {piece.rows}"
            raise refusal(piece.path, f"{rule}; move that file away or export the series again")
        for name, tag in (("position", "0020,0032"), ("axes", "0020,0037"), ("spacing", "0028,0030")):
            mine, others = getattr(piece, name), getattr(first, name)
            if (mine is None) != (others is None):
                rule = f"all slices or none have the tag ({tag}), and {piece.path.name} and {first.path.name} differ"
                raise refusal(path, f"{rule}; export the series again")
        if piece.axes is not None and first.axes is not None and np.abs(piece.axes - first.axes).max() > 1e-2:
            rule = f"all slices have the orientation {_vector(first.axes)}, got {_vector(piece.axes)}"
            raise refusal(piece.path, f"{rule}; move localizers away from the series")
        if (
            piece.spacing is not None
            and first.spacing is not None
            and not np.allclose(piece.spacing, first.spacing, rtol=1e-3)
        ):
            rule = (
                f"all slices have one pixel spacing, {first.spacing} mm as in {first.path.name}, got {piece.spacing} mm"
            )
            raise refusal(piece.path, f"{rule}; export the series again")


def _sorted(path: Path, slices: Sequence[DicomSlice]) -> tuple[list[list[DicomSlice]], list[str]]:
    """Stacks of slices along the normal, one stack a time point, and what was odd."""
    if slices[0].position is None or slices[0].axes is None:
        ordered = sorted(slices, key=lambda piece: (piece.instance, piece.path.name))
        return [ordered], []
    normal = np.cross(*slices[0].axes)
    heights = {id(piece): float(normal @ piece.position) for piece in slices if piece.position is not None}
    ordered = sorted(slices, key=lambda piece: (heights[id(piece)], piece.instance, piece.path.name))
    places: list[list[DicomSlice]] = [[ordered[0]]]
    for before, piece in pairwise(ordered):
        if heights[id(piece)] - heights[id(before)] < SAME_PLACE_MM:
            places[-1].append(piece)
        else:
            places.append([piece])
    counts = {len(place) for place in places}
    if len(counts) == 1 and len(places) > 1:
        return [list(stack) for stack in zip(*places, strict=True)], []
    if counts == {len(slices)} and len(slices) > 1:
        return [[piece] for piece in places[0]], []
    spare = [piece.path.name for place in places for piece in place[1:]]
    if not spare:
        return [[place[0] for place in places]], []
    sentence = f"{path}: slices that lie where another one does were left out: {', '.join(spare[:5])}"
    return [[place[0] for place in places]], [sentence]


def _place(path: Path, slices: Sequence[DicomSlice]) -> tuple[Affine, list[str], bool]:
    """Voxel -> RAS mm, warnings, and whether these explain a shear."""
    first, last = slices[0], slices[-1]
    warnings = []
    if first.spacing is None:
        warnings.append(
            f"{path}: Pixel Spacing (0028,0030) is absent and 1 x 1 mm is assumed; no area or volume can be given"
        )
    between_rows, between_columns = first.spacing or (1.0, 1.0)
    thickness = first.thickness or 1.0
    lps = np.eye(4)
    if first.position is None or first.axes is None or last.position is None:
        warnings.append(
            f"{path}: Image Position or Orientation (0020,0032 and 0020,0037) is absent; slices are ordered by number, "
            f"{thickness:g} mm apart, orientation unknown: check left and right"
        )
        lps[:3, :3] = np.diag([between_columns, between_rows, thickness])
        return LPS_TO_RAS @ lps, warnings, False
    normal = np.cross(*first.axes)
    step = normal * thickness
    if len(slices) > 1:
        step = (last.position - first.position) / (len(slices) - 1)
        positions = np.array([piece.position for piece in slices])
        warnings += _uneven(path, slices, positions @ normal)
    lps[:3, :3] = np.column_stack([first.axes[0] * between_columns, first.axes[1] * between_rows, step])
    lps[:3, 3] = first.position
    tilt = float(np.degrees(np.arccos(np.clip(normal @ step / np.linalg.norm(step) / np.linalg.norm(normal), -1, 1))))
    if tilt > TILT_DEGREES:
        said = f"; the header says {first.tilt:g}" if first.tilt else ""
        warnings.append(
            f"{path}: gantry tilt: the slices are shifted against each other by {tilt:.1f} degrees{said}; the sheared "
            "grid is used as it is"
        )
    return LPS_TO_RAS @ lps, warnings, tilt > TILT_DEGREES


def _uneven(path: Path, slices: Sequence[DicomSlice], heights: NDArray[np.float64]) -> list[str]:
    distances = np.diff(heights)
    usual = float(np.median(distances))
    odd = np.flatnonzero(np.abs(distances - usual) > max(UNEVEN * usual, SAME_PLACE_MM))
    if odd.size == 0:
        return []
    gaps = ", ".join(f"{distances[n]:.2f} mm after {slices[n].path.name}" for n in odd[:3])
    more = f" and {odd.size - 3} more" if odd.size > 3 else ""
    missing = np.round(distances[odd] / usual)
    whole = bool((missing >= 2).all() and (np.abs(distances[odd] / usual - missing) < UNEVEN).all())
    cause = f"missing slices: {int((missing - 1).sum())}" if whole else "slice distances vary"
    error = np.abs(heights - np.linspace(heights[0], heights[-1], len(heights))).max()
    return [
        f"{path}: {cause}: {usual:.2f} mm is usual, but {gaps}{more}; positions along the stack are off by up to "
        f"{error:.1f} mm and volumes are approximate"
    ]


def _multi_frame(path: Path, slices: Sequence[DicomSlice], warnings: list[str]) -> Stored:
    """An enhanced file with its whole volume inside; only the tags outside its frames' own groups are known."""
    if len(slices) > 1:
        rule = f"one multi-frame file is expected, got {len(slices)}"
        raise refusal(path, f"{rule}; convert the one you want to NIfTI, for example with dcm2niix")
    piece = slices[0]
    if piece.position is None or piece.axes is None or piece.spacing is None:
        rule = f"the geometry of this multi-frame file ({piece.frames} frames) lies in tags that are not read"
        raise refusal(piece.path, f"{rule}; convert it to NIfTI first, for example with dcm2niix")
    affine, seen, _ = _place(path, slices)
    array: NDArray[Any] = read_voxels(piece)[None]
    return Stored(array, affine, (*warnings, *seen), modality=piece.modality, sources=(piece.path,))


def _vector(axes: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.3f}" for value in axes.ravel())

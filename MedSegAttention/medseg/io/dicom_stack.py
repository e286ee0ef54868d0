"""Where a stack of DICOM slices lies in the patient, and every irregularity said aloud."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.io.dicom_heights import SAME_PLACE_MM, Heights
from medseg.io.dicom_slice import DicomSlice
from medseg.io.stored import LPS_TO_RAS, refusal

_UNEVEN = 0.02  # of the usual distance between slices
_TILT_DEGREES = 0.1
_SHIFT_PIXELS = 0.5  # sideways; more, and no grid holds the slices


def place(path: Path, slices: Sequence[DicomSlice], heights: Heights) -> tuple[Affine, list[str], bool]:
    """Voxel -> RAS mm, warnings, and whether these explain a shear.

    Args:
        path: file or folder that was asked for.
        slices: of one acquisition, upwards.
        heights: of them.

    Raises:
        ImageError: if the distance of slices is unknown, or some are shifted sideways against the others.
    """
    first = slices[0]
    warnings = []
    if first.spacing is None:
        warnings.append(
            f"{path}: Pixel Spacing (0028,0030) is absent and 1 x 1 mm is assumed; no area or volume can be given"
        )
    between_rows, between_columns = first.spacing or (1.0, 1.0)
    lps = np.eye(4)
    if heights.kind != "position" or first.position is None or first.axes is None:
        distance, said = _without_position(path, slices, heights)
        lps[:3, :3] = np.diag([between_columns, between_rows, distance])
        return LPS_TO_RAS @ lps, [*warnings, said], False
    normal = np.cross(*first.axes)
    step = normal * (first.thickness or 1.0)  # of one slice alone, which is measured in cm2
    if len(slices) > 1:
        positions = np.array([piece.position for piece in slices])
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        _refuse_shifted(path, slices, positions, normal)
        warnings += _uneven(path, slices, positions @ normal)
    lps[:3, :3] = np.column_stack([first.axes[0] * between_columns, first.axes[1] * between_rows, step])
    lps[:3, 3] = first.position
    tilt = float(np.degrees(np.arccos(np.clip(normal @ step / np.linalg.norm(step) / np.linalg.norm(normal), -1, 1))))
    if tilt > _TILT_DEGREES:
        said = f"; the header says {first.tilt:g}" if first.tilt else ""
        warnings.append(
            f"{path}: gantry tilt: the slices are shifted against each other by {tilt:.1f} degrees{said}; the sheared "
            "grid is used as it is"
        )
    return LPS_TO_RAS @ lps, warnings, tilt > _TILT_DEGREES


def _without_position(path: Path, slices: Sequence[DicomSlice], heights: Heights) -> tuple[float, str]:
    """Millimetres between slices and the sentence about it; the slices are in the order of their heights."""
    absent = f"{path}: Image Position or Orientation (0020,0032 and 0020,0037) is absent"
    lies = "orientation unknown: check left and right"
    if len(slices) == 1:
        return slices[0].thickness or 1.0, f"{absent}; {lies}"
    if heights.kind == "location":
        at = np.array([heights(piece) for piece in slices])
        uneven = " ".join(sentence.partition(": ")[2] for sentence in _uneven(path, slices, at))
        said = f"{absent}; slices are ordered by Slice Location (0020,1041), {lies}"
        return float((at[-1] - at[0]) / (len(at) - 1)), f"{said}{'; ' if uneven else ''}{uneven}"
    thickness = slices[0].thickness
    if thickness is None:
        rule = (
            "the distance of slices must be known, and (0020,0032), (0020,1041), (0018,0088) and (0018,0050) are absent"
        )
        raise refusal(path, f"{rule}; export the series again")
    return thickness, f"{absent}; slices are ordered by number, {thickness:g} mm apart, {lies}"


def _refuse_shifted(
    path: Path, slices: Sequence[DicomSlice], positions: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """Refuse slices that lie beside the line through the others; a line that is not the normal is a tilt."""
    heights = positions @ normal
    sideways = positions - np.outer(heights, normal) / (normal @ normal)
    slopes = np.median(np.diff(sideways, axis=0) / np.diff(heights)[:, None], axis=0)  # of most neighbours
    beside = sideways - np.outer(heights, slopes)
    apart = np.linalg.norm(beside - np.median(beside, axis=0), axis=1)
    allowed = _SHIFT_PIXELS * min(slices[0].spacing or (1.0, 1.0))
    odd = np.flatnonzero(apart > allowed)
    if odd.size:
        names = ", ".join(slices[n].name for n in odd[:5]) + (", ..." if odd.size > 5 else "")
        rule = f"slices lie one above the other, and {odd.size} of {len(slices)} are shifted in their plane"
        far = f"by up to {apart[odd].max():.1f} mm ({names})"
        raise refusal(path, f"{rule} {far}; move them to a folder of their own, or export the series again")


def _uneven(path: Path, slices: Sequence[DicomSlice], heights: NDArray[np.float64]) -> list[str]:
    distances = np.diff(heights)
    usual = float(np.quantile(distances, 0.5, method="lower"))
    odd = np.flatnonzero(np.abs(distances - usual) > max(_UNEVEN * usual, SAME_PLACE_MM))
    if odd.size == 0:
        return []
    gaps = ", ".join(f"{distances[n]:.2f} mm after {slices[n].name}" for n in odd[:3])
    more = f" and {odd.size - 3} more" if odd.size > 3 else ""
    missing = np.round(distances[odd] / usual)
    whole = bool((missing >= 2).all() and (np.abs(distances[odd] / usual - missing) < _UNEVEN).all())
    cause = f"missing slices: {int((missing - 1).sum())}" if whole else "slice distances vary"
    error = np.abs(heights - np.linspace(heights[0], heights[-1], len(heights))).max()
    return [
        f"{path}: {cause}: {usual:.2f} mm is usual, but {gaps}{more}; positions along the stack are off by up to "
        f"{error:.1f} mm and volumes are approximate"
    ]

"""A radiograph as DICOM: one image that lies nowhere in the patient, measured where its rays met the detector."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.io.dicom_slice import DicomSlice
from medseg.io.dicom_voxels import read_voxels
from medseg.io.grey import grey_of
from medseg.io.stored import LPS_TO_RAS, Stored, pick_frame, refusal

_MODALITIES = {"CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # how its storage classes begin
_SAME = 1e-6  # mm


def is_projection(piece: DicomSlice) -> bool:
    """Whether a file holds images that are never slices of a volume: a radiograph, or a captured picture."""
    is_captured = piece.tags.get("0008|0016", "").startswith(_SECONDARY_CAPTURE) and piece.position is None
    return piece.modality in _MODALITIES or is_captured


def read_projection(path: Path, pieces: Sequence[DicomSlice], *, frame: int | None = None) -> Stored:
    """Read a radiograph as a volume one voxel thick, bones bright.

    It lies where 3D Slicer places it: columns along the patient's left and rows along his back, or against them where
    Patient Orientation (0020,0020) says so. Values are those of the modality (rescale applied); where Photometric
    Interpretation (0028,0004) is MONOCHROME1 the decoder has turned them over within the bits that are stored.
    Windows are for displays, and are not applied.

    Args:
        path: folder or file that was asked for.
        pieces: the radiographs there.
        frame: which image of several in one file, counted from 0.

    Returns:
        ``(1, I, J, 1)``

    Raises:
        ImageError: if there are several, it has colours, or it cannot be decoded.
    """
    if len(pieces) > 1:
        listed = "; ".join(map(_describe, pieces[:5])) + ("; ..." if len(pieces) > 5 else "")
        raise refusal(path, f"radiographs are read one by one, and here are {len(pieces)}: {listed}; give one file")
    piece = pieces[0]
    spacing, warnings = _spacing(piece)
    signs, said = _signs(piece)
    between_rows, between_columns = spacing or (1.0, 1.0)
    affine: Affine = LPS_TO_RAS @ np.diag([signs[0] * between_columns, signs[1] * between_rows, 1.0, 1.0])
    voxels: NDArray[Any] = read_voxels(piece)
    if piece.samples > 1:
        voxels = grey_of(voxels, piece.path)
    frames = np.moveaxis(voxels, 2, 0)[..., None]
    return Stored(
        pick_frame(piece.path, frames, frame),
        affine,
        (*warnings, *said, *_lut_shape(piece)),
        spacing_known=spacing is not None,
        modality=piece.modality,
        sources=(piece.path,),
    )


def _spacing(piece: DicomSlice) -> tuple[tuple[float, float] | None, list[str]]:
    """Millimetres between rows and between columns, and what is to be known about them (PS3.3, 10.7.1.3)."""
    spacing, imager = piece.numbers("0028|0030", 2), piece.numbers("0018|1164", 2)
    is_calibrated = bool(piece.tags.get("0028|0a02", ""))
    if spacing and imager and not is_calibrated and np.allclose(spacing, imager, rtol=0, atol=_SAME):
        spacing = None  # the standard: equal to that of the detector means not corrected
    if spacing:
        return (spacing[0], spacing[1]), []
    if imager:
        return _at_the_detector(piece, imager)
    scanned = piece.numbers("0018|2010", 2)
    if scanned:
        sentence = f"{piece.path}: its pixels are measured on the film that was scanned, where the body is magnified"
        return (scanned[0], scanned[1]), [f"{sentence}: areas are too large"]
    return None, [f"{piece.path}: it does not say how large its pixels are: 1 x 1 mm is assumed, no area can be given"]


def _at_the_detector(piece: DicomSlice, imager: list[float]) -> tuple[tuple[float, float], list[str]]:
    magnified = piece.numbers("0018|1114", 1)
    if magnified and magnified[0] > 0:
        factor = magnified[0]
        sentence = f"{piece.path}: its pixels are measured at the detector and divided by the estimated magnification"
        return (imager[0] / factor, imager[1] / factor), [f"{sentence}, {factor:g}: areas are estimates"]
    sentence = f"{piece.path}: its pixels are measured at the detector, where the body is magnified"
    return (imager[0], imager[1]), [f"{sentence}: areas are too large"]


def _signs(piece: DicomSlice) -> tuple[tuple[float, float], list[str]]:
    """Along or against the patient's left and his back, for columns and rows; feet stand for the back, as in Slicer."""
    row, _, column = piece.tags.get("0020|0020", "").partition("\\")
    if not row and not column:
        return (1.0, 1.0), []
    if row[:1] in ("L", "R") and column[:1] in ("F", "H"):
        return (1.0 if row[0] == "L" else -1.0, 1.0 if column[0] == "F" else -1.0), []
    said = f"Patient Orientation (0020,0020) is {row}\\{column}, and a frontal radiograph has L\\F or R\\F"
    return (1.0, 1.0), [f"{piece.path}: {said}: left and right of the result mean nothing; check the view"]


def _lut_shape(piece: DicomSlice) -> list[str]:
    """INVERSE goes with MONOCHROME1 and with nothing else (PS3.3, C.8.11.3): it says the same, not the opposite."""
    shape, photometric = piece.tags.get("2050|0020", ""), piece.tags.get("0028|0004", "")
    if shape != "INVERSE" or photometric == "MONOCHROME1":
        return []
    both = f"Presentation LUT Shape is {shape} and Photometric Interpretation {photometric}"
    return [f"{piece.path}: {both}, which contradict each other; the latter is used: check that bones are bright"]


def _describe(piece: DicomSlice) -> str:
    view = piece.tags.get("0018|5101", "")
    named = f", view {view}" if view else ""
    return (
        f"{piece.modality or 'unknown'} {piece.description!r} {piece.columns} x {piece.rows}{named} ({piece.path.name})"
    )

"""Many frames in one DICOM file whose geometry is said once, at the top: where each lies, or that they are times."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.io.dicom_file import quiet_pydicom
from medseg.io.dicom_header import top_tags
from medseg.io.dicom_slice import DicomSlice
from medseg.io.stored import refusal

_TIMES = {0x00181063, 0x00181065, 0x00181066}  # Frame Time, Frame Time Vector, Frame Delay
_ROTATION, _SLICES = 0x00540050, 0x00540080
_PARTS = {0x00540010, 0x00540020, 0x00540070, 0x00540100, 0x00540060, 0x00540072}  # energy, detector, times of NM
_SAME_MM = 1e-3
CONVERT = "convert it to NIfTI first, for example with dcm2niix"


def place_frames(piece: DicomSlice) -> tuple[list[DicomSlice], list[str]]:
    """Give every frame its place from the tags at the top of the file.

    They lie where Grid Frame Offset Vector (3004,000C) or Slice Vector (0054,0080) puts them along the normal, else one
    Spacing Between Slices (0018,0088) apart. Frames that are told apart by time alone all lie at the one place given.

    Returns:
        The frames as slices, and what the user should know.

    Raises:
        ImageError: if the file does not say where its frames lie.
    """
    try:
        with quiet_pydicom():
            return _placed(piece, top_tags(piece))
    except ValueError as error:
        raise refusal(piece.path, f"the geometry of its frames cannot be read ({error}); export it again") from error


def _placed(piece: DicomSlice, top: Any) -> tuple[list[DicomSlice], list[str]]:
    detector = (top.get("DetectorInformationSequence") or [None])[0]
    position, axes = piece.position, piece.axes
    if detector is not None and position is None and detector.get("ImagePositionPatient"):
        position = np.array([float(value) for value in detector.ImagePositionPatient])
    if detector is not None and axes is None and detector.get("ImageOrientationPatient"):
        axes = np.array([float(value) for value in detector.ImageOrientationPatient]).reshape(2, 3)
    if position is None or axes is None or piece.spacing is None:
        lacks = [
            name
            for name, value in (
                ("Image Position (0020,0032)", position),
                ("Image Orientation (0020,0037)", axes),
                ("Pixel Spacing (0028,0030)", piece.spacing),
            )
            if value is None
        ]
        rule = f"many frames are a volume where the file says how they lie, and this one of {piece.frames} lacks"
        raise refusal(piece.path, f"{rule} {', '.join(lacks)}; {CONVERT}")
    offsets, said = _offsets(piece, top, position)
    normal = np.cross(*axes)
    parts = _parts(piece, top)
    frames = [
        replace(piece, frame=number, position=position + offset * normal, axes=axes, tags=piece.tags | parts[number])
        for number, offset in enumerate(offsets)
    ]
    return frames, said


def _offsets(piece: DicomSlice, top: Any, position: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Millimetres of each frame along the normal, from the place given."""
    grid, between = top.get("GridFrameOffsetVector"), top.get("SpacingBetweenSlices")
    pointers = _pointers(top)
    if _ROTATION in pointers:
        rule = f"a volume has slices, and the {piece.frames} frames of this file are projections round the patient"
        raise refusal(piece.path, f"{rule} (Rotation Vector 0054,0050); take the reconstructed series")
    if grid is not None:
        return _grid_offsets(piece, np.atleast_1d(np.array(grid, dtype=np.float64)), float(position[2])), []
    if pointers & _TIMES or (between is None and ("FrameTime" in top or "CineRate" in top)):
        return np.zeros(piece.frames), [f"{piece.path}: its {piece.frames} frames are times of one slice (cine)"]
    numbers = top.get("SliceVector")
    at: NDArray[np.float64] = np.arange(piece.frames, dtype=np.float64)
    if numbers is not None and len(np.atleast_1d(numbers)) == piece.frames:
        at = np.atleast_1d(np.array(numbers, dtype=np.float64)) - 1
    if between:
        unsaid = f"{piece.path}: the file says the distance of its {piece.frames} frames and not on which side of the "
        return at * float(between), [
            unsaid + "first they lie: the direction of the axes is taken; check which end is the head"
        ]
    if piece.thickness is not None:
        unsaid = f"{piece.path}: the file does not say how far apart its {piece.frames} frames are, nor on which side: "
        thick = f"Slice Thickness (0018,0050), {piece.thickness:g} mm, and the direction of the axes are taken"
        return at * piece.thickness, [f"{unsaid}{thick}; volumes may be wrong"]
    rule = f"the distance of its {piece.frames} frames must be known"
    absent = "and (0018,0088), (0018,0050) and (3004,000C) are absent"
    raise refusal(piece.path, f"{rule}, {absent}; {CONVERT}, and check the slice distance")


def _grid_offsets(piece: DicomSlice, grid: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """Relative where the first is 0, else positions along z whose first is that of the image (PS3.3, C.8.8.3.2)."""
    if grid.size != piece.frames:
        rule = f"Grid Frame Offset Vector (3004,000C) has a number for each of {piece.frames} frames, got {grid.size}"
        raise refusal(piece.path, f"{rule}; {CONVERT}")
    if abs(grid[0]) < _SAME_MM:
        return grid
    is_axial = piece.axes is not None and abs(abs(float(np.cross(*piece.axes)[2])) - 1) < _SAME_MM
    if is_axial and piece.axes is not None and abs(grid[0] - height) < _SAME_MM:
        upwards = float(np.sign(np.cross(*piece.axes)[2]))
        return np.array((grid - grid[0]) * upwards)
    rule = f"Grid Frame Offset Vector (3004,000C) begins with 0 or with the image's z, {height:g} mm, got {grid[0]:g}"
    raise refusal(piece.path, f"{rule}; {CONVERT}")


def _parts(piece: DicomSlice, top: Any) -> list[dict[str, str]]:
    """What tells frames apart beside their place: energy windows, detectors and times of nuclear medicine."""
    found: list[dict[str, str]] = [{} for _ in range(piece.frames)]
    for tag in _PARTS & _pointers(top):
        values = np.atleast_1d(top[tag].value) if tag in top else np.zeros(0)
        if len(values) == piece.frames:
            for part, value in zip(found, values, strict=True):
                part[f"dimension {tag >> 16:04x}|{tag & 0xFFFF:04x}"] = str(value)
    return found


def _pointers(top: Any) -> set[int]:
    """What Frame Increment Pointer (0028,0009) says that frames count."""
    pointer = top.get("FrameIncrementPointer")
    if pointer is None:
        return set()
    return {
        int(tag) for tag in (pointer if isinstance(pointer, list | tuple) or hasattr(pointer, "append") else [pointer])
    }

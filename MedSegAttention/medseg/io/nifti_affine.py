"""Where a NIfTI volume lies: the sform, else the qform, else the bare spacing; and what other programs make of it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.io.itk import quiet_itk, sitk
from medseg.io.nifti_header import NiftiHeader
from medseg.io.stored import LPS_TO_RAS

_APART = 0.1  # of the smallest spacing: what corners may differ by
_ROUNDING = 1e-6  # of the largest number


def header_affine(path: Path, header: NiftiHeader) -> tuple[Affine, list[str]]:
    """Voxel -> RAS mm: the sform, else the qform, else the bare spacing; with what the user should know.

    Returns:
        ``(4, 4)`` affine, not yet checked to be invertible, and warnings.
    """
    with np.errstate(all="ignore"):  # what is not finite is refused by the checks that follow
        return _chosen_affine(path, header)


def _chosen_affine(path: Path, header: NiftiHeader) -> tuple[Affine, list[str]]:
    warnings = []
    scale = np.diag([header.unit_mm] * 3 + [1.0])
    if header.unit_mm != 1.0:
        warnings.append(f"{path}: its header counts in units of {header.unit_mm:g} mm; converted to mm")
    if header.sform_code > 0:
        sform = scale @ np.array([*header.rows, 0, 0, 0, 1], dtype=np.float64).reshape(4, 4)
        qform = scale @ _qform(header) if header.qform_code > 0 else None
        said = _disagreement(header, sform, qform)
        if said and np.isfinite(sform).all():
            warnings.append(f"{path}: {said}; the sform is used; {_elsewhere(path, header, sform, qform)}")
        return sform, warnings
    if header.qform_code > 0:
        return scale @ _qform(header), warnings
    warnings.append(
        f"{path}: the orientation is unknown (qform_code and sform_code are 0); i, j, k are taken as right, anterior, "
        "superior: check left and right"
    )
    spacing = np.array(header.pixdim[1:4], dtype=np.float64)
    if (spacing < 0).any():
        warnings.append(f"{path}: the spacing {tuple(spacing.tolist())} mm has minus signs, which were left out")
    return scale @ np.diag([*np.abs(spacing), 1.0]), warnings


def _disagreement(header: NiftiHeader, sform: Affine, qform: Affine | None) -> str:
    """What contradicts the sform, in words; empty where nothing does."""
    allowed = _allowed(sform)
    said = []
    if qform is not None and (apart := _largest_distance(sform, qform, header.dims)) > allowed:
        said.append(f"its two geometries (sform, qform) differ by up to {apart:.1f} mm")
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    pixdim = np.abs(np.array(header.pixdim[1:4], dtype=np.float64)) * header.unit_mm
    voxels = np.maximum(np.array(header.dims[:3]) - 1, 1)
    if not (np.abs(lengths - pixdim) * voxels <= allowed).all():  # NaN is none that agrees
        spacings = (" x ".join(f"{value:.4g}" for value in each) for each in (lengths, pixdim))
        said.append("its voxels have {} mm by the sform and {} mm by pixdim".format(*spacings))
    return " and ".join(said)


def _elsewhere(path: Path, header: NiftiHeader, sform: Affine, qform: Affine | None) -> str:
    """What ITK, with which 3D Slicer reads too, makes of the file: it is asked."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NiftiImageIO")
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError:
        return "3D Slicer and ITK cannot read the file"
    dimension = reader.GetDimension()
    axes = np.array(reader.GetDirection()).reshape(dimension, dimension)[:3, :3]
    lps = np.eye(4)
    size = min(dimension, 3)
    lps[:size, :size] = (axes * np.array(reader.GetSpacing()[:3]))[:size, :size]
    lps[:size, 3] = reader.GetOrigin()[:3]
    theirs = LPS_TO_RAS @ lps
    if _largest_distance(theirs, sform, header.dims) <= _allowed(sform):
        return "so do 3D Slicer and ITK"
    if qform is not None and _largest_distance(theirs, qform, header.dims) <= _allowed(sform):
        return "3D Slicer and ITK use the qform and show the image, and results on it, there"
    spacing = " x ".join(f"{value:.4g}" for value in np.linalg.norm(theirs[:3, :3], axis=0))
    apart = _largest_distance(theirs, sform, header.dims)
    return f"3D Slicer and ITK show it with voxels of {spacing} mm, up to {apart:.1f} mm elsewhere"


def _allowed(sform: Affine) -> float:
    return _APART * float(np.linalg.norm(sform[:3, :3], axis=0).min()) + _ROUNDING * float(np.abs(sform).max())


def _qform(header: NiftiHeader) -> Affine:
    """The quaternion form, method 2 of nifti1.h."""
    b, c, d = header.quaternion
    length = b * b + c * c + d * d
    if length > 1:  # rounding, or a broken header, whose columns then still have their spacing
        b, c, d = (value / np.sqrt(length) for value in (b, c, d))
    a = np.sqrt(max(0.0, 1 - (b * b + c * c + d * d)))
    rotation: NDArray[np.float64] = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if header.pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.abs(np.array(header.pixdim[1:4])) @ np.diag([1.0, 1.0, handed])
    affine[:3, 3] = header.offset
    return affine


def _largest_distance(first: Affine, second: Affine, dims: tuple[int, ...]) -> float:
    """Millimetres between the places two affines give to a corner of the volume, at most."""
    ends = [(0, size - 1) for size in dims[:3]]
    corners = np.array([[i, j, k, 1] for i in ends[0] for j in ends[1] for k in ends[2]], dtype=np.float64).T
    return float(np.linalg.norm((first @ corners - second @ corners)[:3], axis=0).max())

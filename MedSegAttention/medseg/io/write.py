"""Write images and segmentations; a file appears whole under its name, or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.overlap import painted
from medseg.io.atomic import check_target, replacing
from medseg.io.formats import output_suffix
from medseg.io.metaimage import check_perpendicular, encode_metaimage
from medseg.io.nifti import check_length, encode_nifti
from medseg.io.nrrd import encode_nrrd
from medseg.io.segnrrd import encode_segmentation
from medseg.spec.errors import JobError
from medseg.spec.manifest import LabelSpec
from medseg.spec.stroke import Stroke

_ENCODERS: dict[str, Callable[[Path, Image], None]] = {
    ".nii": encode_nifti,
    ".nii.gz": encode_nifti,
    ".nrrd": encode_nrrd,
    ".mha": encode_metaimage,
}


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that could not be written, before the work starts.

    Args:
        path: the output.
        overwrite: whether an existing file may be replaced.

    Raises:
        JobError: if the ending is unknown, or the folder is missing or read-only.
        OutputExists: if the file exists and overwriting was not allowed.
    """
    output_suffix(path)
    check_target(path, overwrite=overwrite)


def check_grid(path: Path, shape: Shape, affine: Affine) -> None:
    """Refuse a format that cannot hold a grid, before the work starts.

    Args:
        path: the output; its ending says the format.
        shape: voxels along i, j, k.
        affine: ``(4, 4)``, voxel -> RAS mm.

    Raises:
        JobError: if the axes are not perpendicular and the format has no shear, or one is too long for it.
    """
    suffix = output_suffix(path)
    if suffix == ".mha":
        check_perpendicular(affine)
    elif suffix in (".nii", ".nii.gz"):
        check_length(shape)


def write_segmentation(
    path: Path,
    labels: Image,
    specs: Sequence[LabelSpec],
    *,
    strokes: Sequence[Stroke] = (),
    overwrite: bool = False,
) -> None:
    """Write a labelmap as .nii, .nii.gz, .nrrd, .mha, or with names, colours and codes as .seg.nrrd.

    Args:
        path: its ending says the format; DICOM's has a writer of its own, ``dicom_results``.
        labels: ``(N, I, J, K)`` whole numbers from 0 up; stored in the smallest unsigned type. Layers of segments that
            overlap are kept by .seg.nrrd; in other formats a segment that is listed later covers those before.
        specs: the segments; only .seg.nrrd has a place for them.
        strokes: that corrected them; only .seg.nrrd keeps them.
        overwrite: whether an existing file may be replaced.

    Raises:
        ValueError: if the labels are not integers from 0 up, or there are layers and no segments.
        JobError: if the format cannot hold the grid, or the file cannot be written.
        OutputExists: if the file exists and overwriting was not allowed.
    """
    array = labels.array
    if (array.shape[0] != 1 and not specs) or array.dtype.kind not in "iub" or int(array.min(initial=0)) < 0:
        msg = f"labels are (N, I, J, K) integers from 0 up, got {array.shape} of type {array.dtype}"
        raise ValueError(msg)
    highest = max([int(array.max(initial=0)), *(spec.value for spec in specs)])
    stored = array.astype(np.min_scalar_type(highest), copy=False)
    whole = Image(stored, labels.affine, spacing_known=labels.spacing_known)
    if output_suffix(path) == ".seg.nrrd":
        _write(path, lambda temporary: encode_segmentation(temporary, whole, specs, strokes), overwrite=overwrite)
    else:
        write_image(path, painted(whole, specs), overwrite=overwrite)


def write_image(path: Path, image: Image, *, overwrite: bool = False) -> None:
    """Write an image of any channel count as .nii, .nii.gz, .nrrd or .mha.

    Args:
        path: its ending says the format.
        image: ``(C, I, J, K)``; several channels become NIfTI's 4th dimension, NRRD's and MetaImage's vector.
        overwrite: whether an existing file may be replaced.

    Raises:
        JobError: if the format cannot hold the grid or the voxel type, or the file cannot be written.
        OutputExists: if the file exists and overwriting was not allowed.
    """
    suffix = output_suffix(path)
    if suffix not in _ENCODERS:
        msg = f"{path}: an image without labels ends in {', '.join(_ENCODERS)}, got {suffix}; choose one of these"
        raise JobError(msg)
    # every format has integers of 8 to 64 bit and floats of 32 and 64 bit
    smallest = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}.get(image.array.dtype)
    storable = image if smallest is None else Image(image.array.astype(smallest), image.affine)
    _write(path, lambda temporary: _ENCODERS[suffix](temporary, storable), overwrite=overwrite)


def _write(path: Path, encode: Callable[[Path], None], *, overwrite: bool) -> None:
    with replacing(path, overwrite=overwrite) as temporary:
        try:
            encode(temporary)
        except OSError as error:
            msg = f"{path}: the file cannot be written ({error.strerror or error}); choose another folder"
            raise JobError(msg) from error

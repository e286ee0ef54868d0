"""Two labelmaps of which a DICOM SEG is one: it holds few slices, and is put onto the grid of the other."""

from pathlib import Path

from medseg.imaging.image import Image
from medseg.imaging.lattice import common_grid, place_on
from medseg.io.dicom_results.read_seg import is_segmentation


def on_one_grid(first: Image, second: Image, first_path: Path, second_path: Path) -> tuple[Image, Image]:
    """Put two labelmaps onto one grid where they have the same voxels; nothing is resampled.

    Args:
        first: ``(N, I, J, K)``.
        second: ``(M, I, J, K)``.
        first_path: the file it was read from.
        second_path: the file of the other.

    Returns:
        Both as they are unless one is a DICOM SEG, or where their voxels lie in between each other.
    """
    partial = is_segmentation(first_path), is_segmentation(second_path)
    if partial == (True, False):
        return place_on(first, second.shape, second.affine) or first, second
    if partial == (False, True):
        return first, place_on(second, first.shape, first.affine) or second
    grid = common_grid(first, second) if all(partial) else None
    if grid is None:
        return first, second
    return place_on(first, *grid) or first, place_on(second, *grid) or second

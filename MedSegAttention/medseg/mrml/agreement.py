"""How well two segmentations agree: the Dice score of segments that have the same name."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import resample_to, voxel_corners
from medseg.imaging.image import Image, Shape
from medseg.imaging.measure import dice
from medseg.mrml.cuts import cut_segment
from medseg.mrml.grids import Node, parent_to_world
from medseg.mrml.segmentations import segment_names


def dice_steps(segmentation: Node, reference: Node) -> Iterator[tuple[str, float]]:
    """Compare segment by segment, one name a step.

    Both segments are looked at on the voxels of the first (nearest voxel), so the scores are those of the
    segmentation as it is. Segments may overlap; each is compared by itself. Where a name occurs more than once, all
    segments of that name together are the structure.

    Args:
        segmentation: the one to judge.
        reference: the one taken for the truth.

    Returns:
        Yields (name, Dice 0..1): first the names of the segmentation in its order, then those only the reference
        has. nan for a name that only one of them has, and where both segments are empty.

    Raises:
        ImageError: at once, if one of them hangs under a non-linear transform.
    """
    ours, theirs = _by_name(segmentation), _by_name(reference)
    to_worlds = parent_to_world(segmentation), parent_to_world(reference)
    return _scores((segmentation, reference), (ours, theirs), to_worlds)


def _scores(
    nodes: tuple[Node, Node],
    ids: tuple[dict[str, list[str]], dict[str, list[str]]],
    to_worlds: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Iterator[tuple[str, float]]:
    for name in ids[0] | ids[1]:
        if name not in ids[0] or name not in ids[1]:
            yield name, math.nan
            continue
        masks = [
            [Image(cut.mask[None], to_world @ cut.affine) for each in named[name] if (cut := cut_segment(node, each))]
            for node, named, to_world in zip(nodes, ids, to_worlds, strict=True)
        ]
        yield name, _dice(masks[0], masks[1])


def _dice(ours: list[Image], theirs: list[Image]) -> float:
    if not ours or not theirs:
        return 0.0 if ours or theirs else math.nan
    # The grid of the first mask, grown to hold them all.
    first, every = ours[0], [*ours, *theirs]
    spots = np.concatenate([voxel_corners(each.shape) @ np.linalg.solve(first.affine, each.affine).T for each in every])
    low, high = np.floor(spots[:, :3].min(axis=0) + 0.5 + 1e-3), np.ceil(spots[:, :3].max(axis=0) - 0.5 - 1e-3)
    affine = first.affine.copy()
    affine[:3, 3] = (first.affine @ [*low, 1])[:3]
    i, j, k = (int(size) for size in high - low + 1)
    one, other = (_union(masks, (i, j, k), affine) for masks in (ours, theirs))
    return dice(*(int(np.count_nonzero(mask)) for mask in (one & other, one, other)))


def _union(masks: list[Image], shape: Shape, affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=bool)
    for mask in masks:
        whole |= resample_to(mask, shape, affine, order="nearest").array[0].astype(bool)
    return whole


def _by_name(node: Node) -> dict[str, list[str]]:
    """Segment ids under each name, in the order of the segmentation."""
    found: dict[str, list[str]] = {}
    for segment_id, name in segment_names(node).items():
        found.setdefault(name, []).append(segment_id)
    return found

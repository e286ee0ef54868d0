"""What the module's own test looks for in a segmentation of the sample, the left half of the Colin27 head."""

import numpy as np

from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.segmentations import labels_from_segmentation

_NAMES = ["anterior hippocampus", "posterior hippocampus"]
_PLAUSIBLE_ML = (0.5, 4.0)  # of each part, in an adult's head


def sample_faults(node: Node, volume: Node) -> list[str]:
    """What is wrong with both parts of the left hippocampus: names, reference, grid, sizes, side.

    Args:
        node: the segmentation.
        volume: the sample.

    Returns:
        A sentence each; empty where all is well.
    """
    segmentation = node.GetSegmentation()
    names = [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]
    faults = [] if names == _NAMES else [f"the segments are {names}, not {_NAMES}"]
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if reference is None or reference.GetID() != volume.GetID():
        faults.append("the segmentation does not refer to the volume")
    labels, _names = labels_from_segmentation(node, volume)
    if labels.shape != volume.GetImageData().GetDimensions():
        faults.append(f"the labels have shape {labels.shape}, not the volume's")
    if not np.allclose(labels.affine, ijk_to_world(volume), atol=1e-6):
        faults.append("the labels lie elsewhere than the volume")
    for number, name in enumerate(names, start=1):
        size = labels.volume_ml((labels.array == number).sum())
        if not _PLAUSIBLE_ML[0] < size < _PLAUSIBLE_ML[1]:
            faults.append(f"{name}: {size:.2f} ml, in an adult's head 0.5 to 4")
    where = np.argwhere(labels.array[0] > 0)
    if where.size and (labels.affine @ [*where.mean(axis=0), 1])[0] >= 0:
        faults.append("the left hippocampus lies left")
    return faults

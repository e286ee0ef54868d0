"""What the module's own test looks for in a segmentation of the sample, the left half of the Colin27 head."""

import time

import numpy as np

from medseg.desktop.panel.panel import Panel
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.segmentations import labels_from_segmentation, own_volume

_NAMES = ["anterior hippocampus", "posterior hippocampus"]
_PATIENCE_S = 300
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
    reference = own_volume(node)
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


def first_use_faults(panel: Panel) -> list[str]:
    """Do what a clinician does at first, *Try it* and *Apply*, while Slicer's events go on.

    Args:
        panel: on an empty scene, with the packages that the worker needs.

    Returns:
        A sentence about each thing that went wrong; empty where all is well.
    """
    import slicer

    panel.names.tryIt.click()
    (volume,) = panel.parameters.inputs(1)
    if volume is None or not panel.names.apply.enabled:
        return [f"the sample cannot be segmented: {panel.names.forecast.text} {panel.names.status.text}"]
    panel.names.apply.click()
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and (panel.queue.is_busy or not panel.queue.rows):
        slicer.app.processEvents()
        time.sleep(0.01)
    row = panel.queue.rows[-1]
    if row.state != "done" or row.result is None:
        return [f"the run is {row.state}: {row.details}"]
    seen = [] if panel.results.widget.visible else ["the result is not shown"]
    return [*seen, *sample_faults(row.result.node, volume)]

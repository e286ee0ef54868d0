"""A volume that Slicer loaded from DICOM: the files it came from; and the segments on it with names and codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.imaging.image import Image
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.training_cases import segment_spec
from medseg.spec.errors import ImageError, JobError
from medseg.spec.labels import LabelSpec

INSTANCES = "DICOM.instanceUIDs"  # attribute that Slicer's DICOM module writes on a volume


def came_from_dicom(volume: Node) -> bool:
    """Whether Slicer loaded a volume from DICOM; None did not."""
    return volume is not None and bool(volume.GetAttribute(INSTANCES))


def dicom_files(volume: Node, file_of: Callable[[str], str]) -> tuple[Path, ...]:
    """The files of the slices of a volume.

    Args:
        volume: loaded from DICOM.
        file_of: gives the file of a SOP Instance UID; "" where it knows none. Slicer's DICOM database does.

    Raises:
        JobError: if the volume did not come from DICOM, or a file is no longer in the database or on the disk.
    """
    uids = str(volume.GetAttribute(INSTANCES) or "").split()
    if not uids:
        msg = f"a DICOM SEG refers to a DICOM series, and volume {volume.GetName()!r} did not come from one; "
        msg += "load it by Slicer's DICOM module and segment that"
        raise JobError(msg)
    files = [Path(str(file_of(uid) or "")) for uid in uids]
    lost = sum(not path.is_file() for path in files)
    if lost:
        msg = f"{lost} of the {len(files)} DICOM files of volume {volume.GetName()!r} are not in the DICOM database "
        msg += "any more; import the series there again"
        raise JobError(msg)
    return tuple(files)


def segments_on(node: Node, volume: Node) -> tuple[Image, tuple[LabelSpec, ...]]:
    """All segments on the grid of a volume, nearest voxel, with names, colours and codes.

    Returns:
        ``(N, I, J, K)`` with the values 1..n in the order of the segments; those that overlap lie in several layers.

    Raises:
        JobError: if there is no segment.
        ImageError: if a parent transform is not linear.
    """
    inside = node.GetSegmentation()
    ids = list(inside.GetSegmentIDs())
    if not ids:
        msg = f"segmentation {node.GetName()!r} has no segments; draw them first"
        raise JobError(msg)
    specs = tuple(segment_spec(value, inside.GetSegment(each)) for value, each in enumerate(ids, start=1))
    try:
        return labels_from_segmentation(node, volume)[0], specs
    except ImageError:  # they overlap, or what every single one refuses too
        return _layers(node, volume, ids), specs


def _layers(node: Node, volume: Node, ids: list[str]) -> Image:
    """Each segment in the first layer where it covers no other."""
    layers: list[Image] = []
    for value, each in enumerate(ids, start=1):
        mask = labels_from_segmentation(node, volume, [each])[0]
        here = mask.array != 0
        free = next((n for n, layer in enumerate(layers) if not layer.array[here].any()), None)
        if free is None:
            layers.append(replace(mask, array=np.zeros(mask.array.shape, np.min_scalar_type(len(ids)))))
            free = len(layers) - 1
        layers[free].array[here] = value
    return replace(layers[0], array=np.concatenate([layer.array for layer in layers]))

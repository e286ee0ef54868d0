"""Files that are in a folder twice: the same instance, with the same voxels."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medseg.io.dicom_heights import Group, Heights, places
from medseg.io.dicom_slice import DicomSlice
from medseg.io.dicom_voxels import read_stack


def without_copies(path: Path, pieces: Sequence[DicomSlice], heights: Heights) -> tuple[Group, list[str]]:
    """Leave out slices that another one equals in SOP Instance UID (0008,0018), place and voxels.

    Returns:
        The slices without them, and what was left out.
    """
    by_instance: defaultdict[tuple[str, int], Group] = defaultdict(list)
    for piece in pieces:
        by_instance[piece.tags.get("0008|0018", ""), piece.frame].append(piece)
    copies: list[DicomSlice] = []
    for (instance, _), group in by_instance.items():
        if instance and len(group) > 1:
            for place in places(group, heights):
                copies += equal_to_another(place)
    if not copies:
        return list(pieces), []
    left = {id(piece) for piece in copies}
    names = ", ".join(piece.name for piece in copies[:3]) + (", ..." if len(copies) > 3 else "")
    rule = f"{len(copies)} slices are there twice (same SOP Instance UID, place and voxels)"
    return [piece for piece in pieces if id(piece) not in left], [
        f"{path}: {rule}, and one of each is read: not {names}"
    ]


def equal_to_another(place: Group) -> list[DicomSlice]:
    """Of slices at one place those whose voxels another one before has."""
    kept, copies = [(place[0], read_stack(place[:1])[0])] if len(place) > 1 else [], []
    for piece in place[1:]:
        voxels = read_stack([piece])[0]
        if any(np.array_equal(voxels, other) for _, other in kept):
            copies.append(piece)
        else:
            kept.append((piece, voxels))
    return copies

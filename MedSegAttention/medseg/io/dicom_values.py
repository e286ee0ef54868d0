"""Do the numbers of all slices of a DICOM stack mean the same? Where they may not, a sentence says so."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.io.dicom_file import open_tags
from medseg.io.dicom_slice import DicomSlice
from medseg.io.dicom_voxels import rescale

_SAME_MEANING = (
    ("0028|0004", "Photometric Interpretation"),
    ("0028|1054", "Rescale Type"),
    ("0054|1001", "Units"),
    ("0054|1102", "Decay Correction"),
)


def odd_values(path: Path, slices: Sequence[DicomSlice], array: NDArray[Any]) -> list[str]:
    """Sentences about voxel values ``(I, J, K)`` of slices that may not mean what they seem to.

    Raises:
        ImageError: if a rescale is no number.
    """
    sentences = [
        f"{path}: not all slices have the same {name} ({tag.replace('|', ',')}): {_counts(found)}; their values may "
        "not mean the same"
        for tag, name in _SAME_MEANING
        if len(found := Counter(piece.tags.get(tag, "") for piece in slices)) > 1
    ]
    if all(piece.tags.get("0028|0004") == "MONOCHROME1" for piece in slices):
        sentences.append(
            f"{path}: MONOCHROME1 (0028,0004): viewers show it turned over; the stored values are used as they are"
        )
    sentences += _rescales(path, slices)
    return sentences + _padding(path, slices, array)


def _rescales(path: Path, slices: Sequence[DicomSlice]) -> list[str]:
    without = [piece for piece in slices if not (piece.tags.get("0028|1053") or piece.tags.get("0028|1052"))]
    if 0 < len(without) < len(slices):
        rule = (
            f"{len(without)} of {len(slices)} slices have no Rescale (0028,1052 and 0028,1053), e.g. {without[0].name}"
        )
        return [f"{path}: {rule}: their values may not mean what those of the others do"]
    if not slices[0].tags.get("0028|1053") and _has_lookup_table(slices[0]):
        return [f"{path}: its values have a Modality LUT (0028,3000), which is not applied: they are the stored ones"]
    if any(piece.numbers("0028|1053", 1) == [0.0] for piece in slices):
        return [f"{path}: Rescale Slope (0028,1053) is 0, which means nothing, and 1 is used"]
    pairs = {rescale(piece.tags, piece) for piece in slices}
    if len(pairs) > 1 and slices[0].modality != "PT":  # of PET each slice has its own
        rule = f"Rescale (0028,1052 and 0028,1053) differs between slices in {len(pairs)} ways"
        return [f"{path}: {rule}: that of each is applied; check that values are of one scale"]
    return []


def _has_lookup_table(piece: DicomSlice) -> bool:
    try:
        return "ModalityLUTSequence" in open_tags(piece.path)
    except (ImportError, ValueError):
        return False


def _padding(path: Path, slices: Sequence[DicomSlice], array: NDArray[Any]) -> list[str]:
    """Voxels that the scanner filled in where it measured nothing."""
    counts: Counter[float] = Counter()
    for number, piece in enumerate(slices):
        given = piece.numbers("0028|0120", 1)
        if given is None:
            continue
        ends = sorted(_stored(piece, value) for value in (*given, *(piece.numbers("0028|0121", 1) or given)))
        slope, intercept = rescale(piece.tags, piece)
        low, high = sorted((ends[0] * slope + intercept, ends[-1] * slope + intercept))
        plane = array[:, :, number]
        held = int(np.count_nonzero((plane >= low) & (plane <= high)))
        counts[low] += held
    total = sum(counts.values())
    if not total:
        return []
    values = ", ".join(f"{value:g}" for value, count in counts.most_common(3) if count)
    rule = f"{total:,} voxels are padding (Pixel Padding Value 0028,0120; here {values})"
    return [f"{path}: {rule} where nothing was measured; they are left as they are"]


def _stored(piece: DicomSlice, value: float) -> float:
    """A padding value in the type of the voxels: its tag is often written with the other sign."""
    is_signed, span = piece.tags.get("0028|0103") == "1", float(1 << piece.bits)
    if is_signed and value >= span / 2:
        return value - span
    return value + span if not is_signed and value < 0 else value


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{text or 'nothing'} in {count}" for text, count in found.most_common(4))

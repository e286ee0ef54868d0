"""Label maps that images are drawn from: turned to RAS, as bytes that count the tissues."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medseg.io.dataset import CaseFiles
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import Triple
from medseg.training.planning.propose_synthetic import read_ras
from medseg.training.planning.synthesis import Synthesis


@dataclass(frozen=True, eq=False)
class LabelMap:
    """One map.

    Attributes:
        name: of the case.
        tissue: ``(I, J, K)`` uint8, left to right, back to front, down to up: 0 is background, n is tissue n - 1.
        spacing_mm: of the voxels.
        centre: voxel in the middle of an image that is not moved.
    """

    name: str
    tissue: Tensor
    spacing_mm: Triple
    centre: NDArray[np.float64]


def load_label_maps(
    files: Sequence[CaseFiles],
    synthesis: Synthesis,
    device: torch.device,
    *,
    on_problem: Callable[[str], None] = lambda _: None,
) -> list[LabelMap]:
    """Load label maps onto a device; one that cannot be used is left out and its problem said.

    Raises:
        JobError: when none is left.
    """
    known = {tissue.value: n for n, tissue in enumerate(synthesis.tissues, start=1)} | {0: 0}
    central = np.array([False, *(tissue.central for tissue in synthesis.tissues)])
    maps, problems = [], []
    for each in files:
        try:
            maps.append(_load(each, known, central, device))
        except ImageError as error:
            problems.append(f"{each.name}: {error}")
            on_problem(problems[-1])
    if not maps:
        msg = f"no label map can be drawn from: {'; '.join(problems) or 'the list is empty'}"
        raise JobError(msg)
    return maps


def _load(files: CaseFiles, known: Mapping[int, int], central: NDArray[np.bool_], device: torch.device) -> LabelMap:
    labels = read_ras(files)
    values, places = np.unique(labels.array[0], return_inverse=True)
    if strange := [int(value) for value in values if int(value) not in known]:
        msg = f"it holds the values {strange}, which are no tissue; add them to the tissues, with label 0"
        raise ImageError(msg)
    tissue = np.array([known[int(value)] for value in values], dtype=np.uint8)[places].reshape(labels.shape)
    seen = np.argwhere(central[tissue])
    if not len(seen):
        msg = "it holds nothing that images could be centred on; check that it shows the same anatomy"
        raise ImageError(msg)
    centre = (seen.min(axis=0) + seen.max(axis=0)) / 2
    return LabelMap(files.name, torch.from_numpy(tissue).to(device), labels.spacing, centre)

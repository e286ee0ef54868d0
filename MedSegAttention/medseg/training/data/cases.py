"""Training cases, prepared exactly as inference prepares them; in memory, or on disk where there are too many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import resample_to
from medseg.imaging.preprocess import prepare
from medseg.io.dataset import CaseFiles, read_case
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import ModelManifest

IGNORE = 255  # value of voxels nobody looked at; the loss passes over them
_PLACES = 10_000  # labelled voxels remembered per label, for patches that are centred on one


@dataclass(frozen=True, eq=False)
class Case:
    """One case in the model's orientation, spacing and intensity.

    Attributes:
        name: of the case.
        image: ``(C, I, J, K)`` float32.
        labels: ``(1, I, J, K)`` uint8, ``IGNORE`` where nobody looked.
        places: by label that occurs, ``(n, 3)`` voxels of it.
        known: ``(L,)`` whether the expert looked for a label; the background counts as known.
    """

    name: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    places: dict[int, NDArray[np.int32]]
    known: NDArray[np.bool_]


def load_case(files: CaseFiles, manifest: ModelManifest, keep: Path | None = None) -> Case:
    """Read one case and prepare it for the model that the manifest describes.

    Args:
        files: of the case.
        manifest: of the model.
        keep: folder in which the prepared arrays are kept and read from bit by bit; None: in memory.

    Raises:
        ImageError: if it cannot be read, or the labels hold a value the manifest does not list.
    """
    image, labels = read_case(files)
    if files.ignore is not None:
        array = np.where(labels.array == files.ignore, IGNORE, labels.array)
        labels = type(labels)(array, labels.affine)
    seen = labels.array[labels.array != IGNORE]
    highest = int(seen.max()) if seen.size else 0
    if highest > len(manifest.labels):
        msg = f"{files.labels} holds label {highest}, but the manifest lists the values 1 to {len(manifest.labels)}"
        raise ImageError(msg)
    prepared = prepare(image, manifest)
    cropped = prepared.crop.apply(prepared.reorient.apply(labels))
    moved = resample_to(cropped, prepared.image.shape, prepared.image.affine, order="nearest")
    known = np.ones(manifest.label_count, dtype=bool)
    if files.labelled is not None:
        known[1:] = [label.value in files.labelled for label in manifest.labels]
    picture = _kept(prepared.image.array.astype(np.float32), keep, f"{files.name}-image")
    truth = _kept(moved.array.astype(np.uint8), keep, f"{files.name}-labels")
    return Case(files.name, picture, truth, _places(truth[0]), known)


def load_cases(
    files: Sequence[CaseFiles],
    manifest: ModelManifest,
    keep: Path | None = None,
    *,
    on_problem: Callable[[str], None] = lambda _: None,
) -> list[Case]:
    """Load cases; one that cannot be used is left out and its problem said.

    Raises:
        JobError: when none is left.
    """
    cases, problems = [], []
    for each in files:
        try:
            cases.append(load_case(each, manifest, keep))
        except ImageError as error:
            problems.append(f"{each.name}: {error}")
            on_problem(problems[-1])
    if not cases:
        msg = f"no case can be trained on: {'; '.join(problems) or 'the list is empty'}"
        raise JobError(msg)
    return cases


def _kept(array: NDArray[Any], folder: Path | None, name: str) -> NDArray[Any]:
    if folder is None:
        return np.ascontiguousarray(array)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npy"
    np.save(path, array)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return mapped


def _places(labels: NDArray[np.uint8]) -> dict[int, NDArray[np.int32]]:
    """Some voxels of every label, evenly spread, so that one data set always gives the same."""
    found = {}
    for value in np.unique(labels).tolist():
        if value not in (0, IGNORE):
            flat = np.flatnonzero(labels == value)
            some = flat[:: max(1, len(flat) // _PLACES)]
            found[value] = np.stack(np.unravel_index(some, labels.shape), axis=1).astype(np.int32)
    return found

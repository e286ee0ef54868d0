"""Folders of images with expert labels: which cases there are, and how they are divided into folds."""

import json
from collections.abc import Sequence
from pathlib import Path

from medseg.imaging.geometry import same_grid, stack_channels
from medseg.imaging.image import Image
from medseg.io.dataset_layouts import CaseFiles, Dataset, describe_dataset, describe_label_maps
from medseg.io.read import read_image, read_labels
from medseg.spec.errors import ImageError, JobError

__all__ = [
    "CaseFiles",
    "Dataset",
    "choose_cases",
    "describe_dataset",
    "describe_label_maps",
    "read_case",
    "read_dataset",
    "read_fold",
]


def read_dataset(folder: Path, labels: Path | None = None) -> dict[str, CaseFiles]:
    """List the labelled cases of a data set by name; see ``describe_dataset``, which raises what this raises."""
    return dict(describe_dataset(folder, labels).cases)


def choose_cases(cases: dict[str, CaseFiles], names: Sequence[str]) -> list[CaseFiles]:
    """Pick cases by name.

    Raises:
        JobError: if a name is not among them.
    """
    missing = [name for name in names if name not in cases]
    if missing:
        msg = f"the data set has no case {missing[0]!r} ({len(missing)} missing in all); use the folds of this data set"
        raise JobError(msg)
    return [cases[name] for name in names]


def read_fold(path: Path, fold: int) -> tuple[list[str], list[str]]:
    """Read the names of the training and the validation cases of one fold.

    Args:
        path: JSON list of folds, each with lists ``train`` and ``val`` (nnU-Net's ``splits_final.json``).
        fold: counted from 0.

    Raises:
        JobError: if the file has no such fold.
    """
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))
        if not 0 <= fold < len(folds):
            msg = f"{path} has folds 0 to {len(folds) - 1}, got {fold}; choose one of them"
            raise JobError(msg)
        return list(folds[fold]["train"]), list(folds[fold]["val"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is not a list of folds, each with the lists 'train' and 'val' ({error})"
        raise JobError(msg) from error


def read_case(files: CaseFiles) -> tuple[Image, Image]:
    """Read a case: all its channels and the labels on one grid.

    Raises:
        ImageError: if a file cannot be read, or lies on another grid than the first image.
    """
    first, *others = [read_image(path) for path in files.images]
    channels = [first.image, *(reading.image for reading in others)]
    for path, other in zip(files.more, channels[1:], strict=True):
        if not same_grid(channels[0], other):
            msg = f"{path} lies on another grid than {files.image}; resample it to that first"
            raise ImageError(msg)
    image = channels[0] if len(channels) == 1 else stack_channels(channels)
    labels = read_labels(files.labels, first)  # a DICOM SEG lies on its grid
    if not same_grid(image, labels):
        msg = f"{files.labels} lies on another grid than {files.image}; resample the labels to the image first"
        raise ImageError(msg)
    return image, labels

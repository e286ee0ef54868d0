"""Folders of images with expert labels: which cases there are, and how they are divided into folds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medseg.imaging.geometry import same_grid, stack_channels
from medseg.imaging.image import Image
from medseg.imaging.renumber import renumbered
from medseg.io.dataset_layouts import CaseFiles, Dataset, describe_dataset, describe_label_maps
from medseg.io.read import Reading, read_image, read_named_labels
from medseg.spec.errors import ImageError, JobError
from medseg.spec.same_segment import listing, same_segments

__all__ = [
    "CaseFiles",
    "CaseReading",
    "Dataset",
    "choose_cases",
    "describe_dataset",
    "describe_label_maps",
    "read_case",
    "read_case_labels",
    "read_dataset",
    "read_fold",
    "read_whole_case",
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
        folds = json.loads(path.read_text(encoding="utf-8-sig"))
        if not 0 <= fold < len(folds):
            msg = f"{path} has folds 0 to {len(folds) - 1}, got {fold}; choose one of them"
            raise JobError(msg)
        return list(folds[fold]["train"]), list(folds[fold]["val"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is not a list of folds, each with the lists 'train' and 'val' ({error})"
        raise JobError(msg) from error


@dataclass(frozen=True, eq=False)
class CaseReading:
    """A case that was read, and what the user should know about its files."""

    image: Image  # (C, I, J, K)
    labels: Image  # (1, I, J, K) on the same grid
    warnings: tuple[str, ...] = ()  # one sentence each, naming the file


def read_case(files: CaseFiles) -> tuple[Image, Image]:
    """Image and labels of a case; see ``read_whole_case``, which raises what this raises."""
    reading = read_whole_case(files)
    return reading.image, reading.labels


def read_whole_case(files: CaseFiles) -> CaseReading:
    """Read a case: all its channels and the labels on one grid.

    Several volumes in one file are its channels. Segments of a file that names them get the data set's numbers.

    Raises:
        ImageError: if a file cannot be read, or lies on another grid than the first image, or a segment is none of the
            data set's.
    """
    readings = [read_image(path, channels=1 if files.more else None) for path in files.images]
    channels = [reading.image for reading in readings]
    for path, other in zip(files.more, channels[1:], strict=True):
        if not same_grid(channels[0], other):
            msg = f"{path} lies on another grid than {files.image}; resample it to that first"
            raise ImageError(msg)
    image = channels[0] if len(channels) == 1 else stack_channels(channels)
    labels, warnings = read_case_labels(files, readings[0])  # a DICOM SEG lies on its grid
    if not same_grid(image, labels):
        msg = f"{files.labels} lies on another grid than {files.image}; resample the labels to the image first"
        raise ImageError(msg)
    said = (warning for reading in readings for warning in reading.warnings)
    return CaseReading(image, replace(labels, affine=image.affine), (*said, *warnings))


def read_case_labels(files: CaseFiles, like: Reading | None = None) -> tuple[Image, tuple[str, ...]]:
    """Read the labels of a case in the data set's numbers, and what the user should know about them.

    Args:
        files: of the case.
        like: the image, onto whose grid a DICOM SEG is put; None: it lies on its own.

    Raises:
        ImageError: if they cannot be read, or a voxel belongs to no segment of the data set.
    """
    reading = read_named_labels(files.labels, like)
    if not reading.segments or not files.segments:
        return reading.image, reading.warnings
    table = same_segments(reading.segments, files.segments)
    values = set(np.unique(reading.image.array).tolist()) - {0}
    if strange := sorted(values - set(table)):
        names = {spec.value: repr(spec.name) for spec in reading.segments}
        shown = ", ".join(names.get(value, f"the value {value}, which has no name") for value in strange)
        msg = (
            f"{files.labels} holds {shown}, and the data set has {listing(files.segments)}; segments are matched by "
            "name or code, so rename them or mend the case"
        )
        raise ImageError(msg)
    wanted = [spec for spec in files.segments if spec.value != files.ignore]
    lacking = [spec.name for spec in wanted if spec.value not in table.values()]
    lacks = (f"{files.labels} has no segment {', '.join(lacking)}: it counts as empty there",) if lacking else ()
    return renumbered(reading.image, table), (*reading.warnings, *lacks)

"""Folders of images with expert labels: which cases there are, and how they are divided into folds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.imaging.geometry import same_grid
from medseg.imaging.image import Image
from medseg.io.read import read_image, read_labels
from medseg.spec.errors import ImageError, JobError


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk."""

    name: str
    image: Path
    labels: Path


def read_dataset(folder: Path) -> dict[str, CaseFiles]:
    """List the labelled cases of a Medical Segmentation Decathlon folder by name.

    Raises:
        JobError: if there is no dataset.json, or it is not one, a file it lists is missing, or two images have one
            name.
    """
    description = folder / "dataset.json"
    try:
        entries = json.loads(description.read_text(encoding="utf-8"))["training"]
        cases = [CaseFiles(_stem(e["image"]), folder / e["image"], folder / e["label"]) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{description} is not a Decathlon description with a 'training' list of image and label ({error})"
        raise JobError(msg) from error
    named: dict[str, CaseFiles] = {}
    for case in cases:
        for path in (case.image, case.labels):
            if not path.is_file():
                msg = f"{description} lists {path}, which does not exist; complete the data set or mend the list"
                raise JobError(msg)
        if case.name in named:
            both = f"{named[case.name].image} and {case.image}"
            msg = f"every case has a name of its own, and {both} are both called {case.name!r}; rename one of them"
            raise JobError(msg)
        named[case.name] = case
    return named


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
    """Read a case: image and labels on one grid.

    Raises:
        ImageError: if the labels lie on another grid than the image.
    """
    image = read_image(files.image).image
    labels = read_labels(files.labels)
    if not same_grid(image, labels):
        msg = f"{files.labels} lies on another grid than {files.image}; resample the labels to the image first"
        raise ImageError(msg)
    return image, labels


def _stem(path: str) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")

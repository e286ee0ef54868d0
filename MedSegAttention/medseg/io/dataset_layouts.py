"""Three ways to lay out a labelled data set: Decathlon, nnU-Net's raw folder, two folders of images and labels.

Decathlon: https://arxiv.org/abs/1902.09063; nnU-Net: https://github.com/MIC-DKFZ/nnUNet.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg.io.formats import image_files_by_name
from medseg.spec.errors import JobError
from medseg.spec.fields import listed

_LISTED = 20  # problems an error names before it counts
_TWO_FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"), ("images", "segmentations"), ("images", "masks"))


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk.

    Attributes:
        name: unique in its data set.
        image: the first channel, or all of them in one file.
        labels: the expert's labels.
        more: further channels, in order.
        labelled: label values that were annotated; None: all. Voxels of the other labels are marked as background.
        ignore: value of unlabelled voxels; None: there are none.
    """

    name: str
    image: Path
    labels: Path
    more: tuple[Path, ...] = ()
    labelled: tuple[int, ...] | None = None
    ignore: int | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        """Every channel's file."""
        return (self.image, *self.more)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled cases and what their folder says about them; empty where it says nothing."""

    title: str
    layout: str  # in words, for the plan
    cases: Mapping[str, CaseFiles]
    label_names: Mapping[int, str] = field(default_factory=dict)  # value -> name, without background
    channel_names: tuple[str, ...] = ()  # e.g. "CT", "MRI"
    description: str = ""
    reference: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()  # what was left out, one sentence each


def describe_dataset(folder: Path, labels: Path | None = None) -> Dataset:
    """Recognise the layout of a data set and list its labelled cases.

    Args:
        folder: a Medical Segmentation Decathlon folder or its dataset.json; an nnU-Net raw folder (``imagesTr`` with
            the suffix ``_0000`` for the first channel, ``labelsTr``, ``dataset.json``); or a folder of images.
        labels: the folder of labels, when ``folder`` holds images alone. Files are matched by name without ending.

    Raises:
        JobError: if it is none of these, or files are missing or have the name of another; all of them are listed.
    """
    if not folder.exists():
        msg = f"{folder}: there is no such file or folder; check the path of the data set"
        raise JobError(msg)
    if labels is not None:
        return _from_folders(folder, labels)
    description = folder if folder.is_file() else folder / "dataset.json"
    if description.is_file():
        return _from_description(description)
    for images_name, labels_name in _TWO_FOLDERS:
        if (folder / images_name).is_dir() and (folder / labels_name).is_dir():
            return _from_folders(folder / images_name, folder / labels_name)
    msg = (
        f"{description} is not a Decathlon description, there is none; give a folder with dataset.json, a folder with "
        "'images' and 'labels', or two folders (--labels)"
    )
    raise JobError(msg)


def describe_label_maps(folder: Path, labels: Path | None = None) -> Dataset:
    """List the label maps of a folder, without images; or the labels of any data set ``describe_dataset`` knows.

    Args:
        folder: of label maps, or of a data set.
        labels: the folder of labels, when ``folder`` holds images alone.

    Raises:
        JobError: if there are none.
    """
    described = folder.is_file() or (folder / "dataset.json").is_file()
    paired = any((folder / images).is_dir() and (folder / maps).is_dir() for images, maps in _TWO_FOLDERS)
    if labels is not None or described or paired or not folder.is_dir():
        return describe_dataset(folder, labels)
    cases = [CaseFiles(name, path, path) for name, path in image_files_by_name(folder).items()]
    if not cases:
        msg = f"{folder} holds no label map; give a folder of label maps, one file each, or a labelled data set"
        raise JobError(msg)
    title = folder.resolve().name
    return Dataset(title=title, layout=f"label maps ({folder})", cases=_checked(cases, str(folder)))


def _from_description(path: Path) -> Dataset:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            msg = "it holds no JSON object"
            raise TypeError(msg)  # noqa: TRY301 - one sentence for all that is wrong
        if "training" in document:
            return _decathlon(path, document)
        if (path.parent / "imagesTr").is_dir() and "labels" in document:
            return _nnunet(path, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is not a Decathlon description with a 'training' list of image and label ({error})"
        raise JobError(msg) from error
    msg = (
        f"{path} is not a Decathlon description with a 'training' list of image and label, nor nnU-Net's with 'labels' "
        "beside imagesTr; complete it or name two folders"
    )
    raise JobError(msg)


def _decathlon(path: Path, document: Mapping[str, Any]) -> Dataset:
    folder = path.parent
    names = {int(value): str(name) for value, name in document.get("labels", {}).items()}
    values = {name: value for value, name in names.items()}
    cases = []
    for entry in document["training"]:
        images = [entry["image"]] if isinstance(entry["image"], str) else list(entry["image"])
        first, *more = (folder / image for image in images)
        looked_for = entry.get("labelled")
        known = None if looked_for is None else tuple(values.get(each, each) for each in looked_for)
        name = first.name.removesuffix(".gz").removesuffix(".nii")
        cases.append(CaseFiles(name, first, folder / entry["label"], tuple(more), known))
    return _dataset("Decathlon", path, document, cases, names, document.get("modality", {}))


def _nnunet(path: Path, document: Mapping[str, Any]) -> Dataset:
    channels = document.get("channel_names") or document.get("modality") or {"0": ""}
    names: dict[int, str] = {}
    for name, value in document["labels"].items():
        if not isinstance(value, int):
            msg = f"label {name!r} is {value!r}; regions of several values are not trained, give each label one value"
            raise TypeError(msg)
        names[value] = str(name)
    ignore = next((value for value, name in names.items() if name.lower() == "ignore"), None)
    images, found = path.parent / "imagesTr", image_files_by_name(path.parent / "labelsTr")
    ending = str(document.get("file_ending", ""))
    cases = []
    for name, labels in found.items():
        suffix = ending or labels.name[len(name) :]
        first, *more = (images / f"{name}_{number:04d}{suffix}" for number in range(len(channels)))
        cases.append(CaseFiles(name, first, labels, tuple(more), ignore=ignore))
    named = {value: name for value, name in names.items() if value != ignore}
    return _dataset("nnU-Net raw", path, document, cases, named, channels)


def _dataset(
    layout: str,
    path: Path,
    document: Mapping[str, Any],
    cases: Iterable[CaseFiles],
    names: Mapping[int, str],
    channels: Mapping[str, Any],
) -> Dataset:
    return Dataset(
        title=str(document.get("name") or path.resolve().parent.name),
        layout=f"{layout} ({path})",
        cases=_checked(cases, str(path)),
        label_names={value: name for value, name in sorted(names.items()) if value != 0},
        channel_names=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        description=str(document.get("description", "")),
        reference=str(document.get("reference", "")),
        licence=str(document.get("licence") or document.get("license") or ""),
    )


def _from_folders(images: Path, labels: Path) -> Dataset:
    """Match two folders; several files of one case differ by nnU-Net's channel suffix ``_0000``."""
    for folder in (images, labels):
        if not folder.is_dir():
            msg = f"{folder} is not a folder; a data set of two folders has one of images and one of labels"
            raise JobError(msg)
    pictures, found = image_files_by_name(images), image_files_by_name(labels)
    channels: dict[str, list[Path]] = {}
    for name, path in pictures.items():
        case = name if name in found else re.sub(r"_\d{4}$", "", name)
        channels.setdefault(case, []).append(path)
    cases = [
        CaseFiles(name, channels[name][0], path, tuple(channels[name][1:]))
        for name, path in found.items()
        if name in channels
    ]
    alone = [str(found[name]) for name in found if name not in channels]
    if alone or not cases:
        what = (
            f"{len(alone)} labels have no image: {listed(alone, _LISTED)}" if alone else f"{labels} holds no image file"
        )
        msg = f"images in {images} and labels in {labels} are matched by name, and {what}; rename or remove them"
        raise JobError(msg)
    bare = [str(paths[0]) for name, paths in channels.items() if name not in found]
    return Dataset(
        title=images.resolve().parent.name,
        layout=f"two folders ({images}, {labels})",
        cases=_checked(cases, str(labels)),
        notes=(f"{len(bare)} image(s) have no labels and are not used: {listed(bare, _LISTED)}",) if bare else (),
    )


def _checked(cases: Iterable[CaseFiles], source: str) -> dict[str, CaseFiles]:
    named: dict[str, CaseFiles] = {}
    missing: list[str] = []
    for case in cases:
        missing += [str(path) for path in (*case.images, case.labels) if not path.exists()]
        if case.name in named:
            both = f"{named[case.name].image} and {case.image}"
            msg = f"every case has a name of its own, and {both} are both called {case.name!r}; rename one of them"
            raise JobError(msg)
        named[case.name] = case
    if missing:
        msg = (
            f"{source} lists {len(missing)} file(s) that do not exist: {listed(missing, _LISTED)}; "
            "complete the data set or mend the list"
        )
        raise JobError(msg)
    return named

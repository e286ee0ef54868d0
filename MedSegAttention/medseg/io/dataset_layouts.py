"""Three ways to lay out a labelled data set: Decathlon, nnU-Net's raw folder, two folders of images and labels.

Decathlon: https://arxiv.org/abs/1902.09063; nnU-Net: https://github.com/MIC-DKFZ/nnUNet.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medseg.io.dataset_cases import LISTED, CaseFiles, Dataset, checked
from medseg.io.dataset_description import read_description
from medseg.io.formats import image_files_by_name
from medseg.io.read import read_segments
from medseg.spec.errors import ImageError, JobError
from medseg.spec.fields import listed
from medseg.spec.labels import LabelSpec
from medseg.spec.same_segment import listing, same_segments

__all__ = ["CaseFiles", "Dataset", "describe_dataset", "describe_label_maps"]

_TWO_FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"), ("images", "segmentations"), ("images", "masks"))


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
        return read_description(description)
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
    segments = _segments_of({case.name: case.labels for case in cases})
    return Dataset(
        title=folder.resolve().name,
        layout=f"label maps ({folder})",
        cases=checked((replace(case, segments=segments) for case in cases), str(folder)),
        label_names={spec.value: spec.name for spec in segments},
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
            f"{len(alone)} labels have no image: {listed(alone, LISTED)}" if alone else f"{labels} holds no image file"
        )
        msg = f"images in {images} and labels in {labels} are matched by name, and {what}; rename or remove them"
        raise JobError(msg)
    segments = _segments_of({name: found[name] for name in found if name in channels})
    cases = [replace(case, segments=segments) for case in cases]
    bare = [str(paths[0]) for name, paths in channels.items() if name not in found]
    return Dataset(
        title=images.resolve().parent.name,
        layout=f"two folders ({images}, {labels})",
        cases=checked(cases, str(labels)),
        label_names={spec.value: spec.name for spec in segments},
        notes=(f"{len(bare)} image(s) have no labels and are not used: {listed(bare, LISTED)}",) if bare else (),
    )


def _segments_of(files: Mapping[str, Path]) -> tuple[LabelSpec, ...]:
    """Every segment that a file names, numbered 1, 2, ... in the order of the first; none where no file names any.

    Raises:
        JobError: if some files name their segments and others do not: numbers alone do not say what they are.
    """
    known: list[LabelSpec] = []
    nameless: list[Path] = []
    namer: Path | None = None
    for path in files.values():
        try:
            segments = sorted(read_segments(path), key=lambda spec: spec.value)
        except ImageError:  # said of the case when it is read
            continue
        if not segments:
            nameless.append(path)
            continue
        namer = namer or path
        seen = same_segments(segments, known)
        for spec in segments:
            if spec.value not in seen:
                known.append(replace(spec, value=len(known) + 1))
    if namer is not None and nameless:
        msg = (
            f"{namer} names its segments ({listing(known)}) and {nameless[0]} does not, so that nobody knows what its "
            "numbers are; save all labels as .seg.nrrd, or add a dataset.json that names the values"
        )
        raise JobError(msg)
    return tuple(known)

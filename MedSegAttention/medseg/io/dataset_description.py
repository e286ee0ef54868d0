"""dataset.json as Decathlon and nnU-Net (version 1 and 2) write it, and as people do who mix them.

Decathlon: https://arxiv.org/abs/1902.09063; nnU-Net: https://github.com/MIC-DKFZ/nnUNet.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.io.dataset_cases import CaseFiles, Dataset, checked
from medseg.io.formats import image_files_by_name, image_name
from medseg.spec.errors import JobError
from medseg.spec.same_segment import named

_IGNORE = "ignore"  # nnU-Net's name of the label of voxels that nobody looked at


def read_description(path: Path) -> Dataset:
    """Read a dataset.json, which may begin with a byte order mark.

    Raises:
        JobError: if it lists no cases, labels regions, or files are missing; all of them are named.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(document, dict):
            msg = "it holds no JSON object"
            raise TypeError(msg)  # noqa: TRY301 - one sentence for all that is wrong
        names = _label_names(path, document.get("labels", {}))
        if document.get("training"):
            return _dataset("Decathlon", path, document, _listed(path, document, names), names)
        if isinstance(document.get("dataset"), dict):
            return _dataset("nnU-Net raw", path, document, _explicit(path, document["dataset"]), names)
        if (path.parent / "imagesTr").is_dir() and "labels" in document:
            return _dataset("nnU-Net raw", path, document, _in_folders(path, document), names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is not a Decathlon description with a 'training' list of image and label ({error})"
        raise JobError(msg) from error
    msg = (
        f"{path} is not a Decathlon description with a 'training' list of image and label, nor nnU-Net's with 'labels' "
        "beside imagesTr; complete it or name two folders"
    )
    raise JobError(msg)


def _label_names(path: Path, labels: Mapping[str, Any]) -> dict[int, str]:
    """Value -> name, of ``{"1": "liver"}`` (Decathlon, nnU-Net 1) and ``{"liver": 1}`` (nnU-Net 2)."""
    names: dict[int, str] = {}
    for key, entry in labels.items():
        single = entry[0] if isinstance(entry, list) and len(entry) == 1 else entry
        if isinstance(single, list):
            values = sorted({each for row in labels.values() for each in (row if isinstance(row, list) else [row])})
            example = {"background": 0, **{f"part {value}": value for value in values if value != 0}}
            msg = (
                f"{path}: label {key!r} is the region {single}, and regions of several values are not trained here; "
                f'give every value a name of its own, as "labels": {json.dumps(example)}'
            )
            raise JobError(msg)
        decathlon = isinstance(single, str) and key.isdigit()
        name, value = (single, int(key)) if decathlon else (key, int(single))
        if value in names:
            msg = f"{path}: labels {names[value]!r} and {name!r} both have the value {value}; give each its own"
            raise JobError(msg)
        names[value] = name
    if (ignore := _ignored(names)) is not None and ignore != max(names):
        msg = f"{path}: 'ignore' has the highest value of all labels, got {ignore} of {max(names)}; renumber them"
        raise JobError(msg)
    return names


def _ignored(names: Mapping[int, str]) -> int | None:
    return next((value for value, name in names.items() if name.strip().lower() == _IGNORE), None)


def _channels(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Number -> name of each channel, also where they are a plain list or one word."""
    channels = document.get("channel_names") or document.get("modality") or {}
    if isinstance(channels, str):
        channels = [channels]
    return {str(number): name for number, name in enumerate(channels)} if isinstance(channels, list) else channels


def _listed(path: Path, document: Mapping[str, Any], names: Mapping[int, str]) -> Iterable[CaseFiles]:
    """The cases of a ``training`` list; nnU-Net 1 lists the files of several channels under the name without number."""
    values = {name: value for value, name in names.items()}
    count = max(1, len(_channels(document)))
    for entry in document["training"]:
        images = [entry["image"]] if isinstance(entry["image"], str) else list(entry["image"])
        paths = [path.parent / image for image in images]
        labels = path.parent / entry["label"]
        name = image_name(paths[0])
        if len(paths) == 1:
            bare = re.sub(r"_\d{4}$", "", name)
            numbered = name != bare and image_name(labels) == bare
            if numbered or not paths[0].exists():
                name = bare if numbered else name
                paths = _channel_files(paths[0].parent, name, paths[0].name[len(image_name(paths[0])) :], count)
        looked_for = entry.get("labelled")
        known = None if looked_for is None else tuple(values.get(each, each) for each in looked_for)
        yield CaseFiles(name, paths[0], labels, tuple(paths[1:]), known)


def _explicit(path: Path, listed: Mapping[str, Any]) -> Iterable[CaseFiles]:
    """The cases of nnU-Net 2's ``dataset``, which names the files of each."""
    for name, entry in listed.items():
        first, *more = (path.parent / image for image in entry["images"])
        yield CaseFiles(name, first, path.parent / entry["label"], tuple(more))


def _in_folders(path: Path, document: Mapping[str, Any]) -> Iterable[CaseFiles]:
    """The cases of imagesTr and labelsTr."""
    ending, count = str(document.get("file_ending", "")), max(1, len(_channels(document)))
    for name, labels in image_files_by_name(path.parent / "labelsTr").items():
        if ending and not labels.name.endswith(ending):
            continue
        first, *more = _channel_files(path.parent / "imagesTr", name, ending or labels.name[len(name) :], count)
        yield CaseFiles(name, first, labels, tuple(more))


def _channel_files(folder: Path, name: str, ending: str, count: int) -> list[Path]:
    """The files of a case's channels, numbered by nnU-Net; or all of them in one, as Decathlon has them."""
    numbered = [folder / f"{name}_{number:04d}{ending}" for number in range(count)]
    whole = folder / f"{name}{ending}"
    return [whole] if whole.exists() and not numbered[0].exists() else numbered


def _dataset(
    layout: str, path: Path, document: Mapping[str, Any], cases: Iterable[CaseFiles], names: Mapping[int, str]
) -> Dataset:
    ignore, channels = _ignored(names), _channels(document)
    known = {value: name for value, name in sorted(names.items()) if value not in (0, ignore)}
    segments = tuple(named(value, name) for value, name in names.items() if value != 0)
    found = checked((replace(case, ignore=ignore, segments=segments) for case in cases), str(path))
    notes = []
    if ignore is not None:
        notes.append(
            f"voxels of the value {ignore} ('{names[ignore]}') are left out of the training: nobody labelled them"
        )
    promised = document.get("numTraining")
    if isinstance(promised, int) and promised != len(found):
        notes.append(f"{path} promises {promised} cases (numTraining), and there are {len(found)}")
    return Dataset(
        title=str(document.get("name") or path.resolve().parent.name),
        layout=f"{layout} ({path})",
        cases=found,
        label_names=known,
        channel_names=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        description=str(document.get("description", "")),
        reference=str(document.get("reference", "")),
        licence=str(document.get("licence") or document.get("license") or ""),
        notes=tuple(notes),
    )

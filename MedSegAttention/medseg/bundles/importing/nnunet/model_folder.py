"""A trained nnU-Net v2 model on disk: which files there are, and what its plans say of the configuration it is of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundles.importing.archive import LARGEST_TEXT
from medseg.spec.errors import ManifestError
from medseg.spec.fields import listed

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


@dataclass(frozen=True)
class ModelFolder:
    """A folder ``<Trainer>__<Plans>__<configuration>``.

    Attributes:
        path: the folder.
        plans: of plans.json.
        dataset: of dataset.json.
        checkpoints: one a fold, in the order of the folds.
    """

    path: Path
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]
    checkpoints: tuple[Path, ...]


def is_model_folder(path: Path) -> bool:
    """Whether a folder is one of a trained configuration."""
    return (path / "plans.json").is_file() and any(path.glob("fold_*"))


def find_model_folders(path: Path) -> list[Path]:
    """The trained configurations in a folder: itself, or those of a data set's folder, or one level deeper."""
    if is_model_folder(path):
        return [path]
    return [
        found for pattern in ("*", "*/*", "*/*/*") for found in sorted(path.glob(pattern)) if is_model_folder(found)
    ]


def open_model_folder(path: Path, folds: Sequence[str] | None = None) -> ModelFolder:
    """Read the texts of a trained configuration and find its checkpoints.

    Args:
        path: the folder.
        folds: "0", "1", ... or "all"; None: every numbered fold that was trained, or else ``fold_all``.

    Raises:
        ManifestError: when a file is missing or says nothing.
    """
    return ModelFolder(path, _read(path / "plans.json"), _read(path / "dataset.json"), _checkpoints(path, folds))


def configuration(plans: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """What the plans say of a configuration, with all it inherits.

    Raises:
        ManifestError: when there is none of that name, or it inherits from itself.
    """
    known = plans.get("configurations")
    chain: list[Mapping[str, Any]] = []
    names = [name]
    while True:
        stated = known.get(names[-1]) if isinstance(known, dict) else None
        if not isinstance(stated, dict):
            msg = f"{path / 'plans.json'} has no configuration {names[-1]!r}; give the whole folder of the model"
            raise ManifestError(msg)
        chain.append(stated)
        parent = stated.get("inherits_from")
        if parent is None:
            break
        if parent in names:
            msg = f"{path / 'plans.json'}: the configuration {parent!r} inherits from itself; get the file again"
            raise ManifestError(msg)
        names.append(str(parent))
    return {key: value for stated in reversed(chain) for key, value in stated.items()}


def _checkpoints(path: Path, folds: Sequence[str] | None) -> tuple[Path, ...]:
    trained = {fold.name.removeprefix("fold_"): found for fold in path.glob("fold_*") if (found := _checkpoint(fold))}
    numbered = sorted((name for name in trained if name.isdigit()), key=int)
    wanted = list(folds) if folds else numbered or [name for name in ("all",) if name in trained]
    if missing := [name for name in wanted if name not in trained]:
        have = listed(sorted(trained)) or "none"
        msg = f"{path} has no checkpoint of fold {listed(missing)}; trained folds there: {have}"
        raise ManifestError(msg)
    if not wanted:
        msg = f"{path} has no fold with {' or '.join(CHECKPOINTS)}; give the folder of a finished training"
        raise ManifestError(msg)
    return tuple(trained[name] for name in wanted)


def _checkpoint(fold: Path) -> Path | None:
    return next((fold / name for name in CHECKPOINTS if (fold / name).is_file()), None)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            msg = f"{path} is larger than {LARGEST_TEXT} bytes, which no file of that name is; get it again"
            raise ManifestError(msg)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}); a model of nnU-Net v2 has one, give the whole folder"
        raise ManifestError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no JSON object; get the file again"
        raise ManifestError(msg)
    return content

"""A trained nnU-Net v2 model on disk: which files there are, and what its plans say of the configuration it is of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medseg.bundles.importing.archive import LARGEST_TEXT
from medseg.bundles.importing.checkpoint import read_content
from medseg.spec.errors import ManifestError
from medseg.spec.fields import listed

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


@dataclass(frozen=True)
class ModelFolder:
    """A folder ``<Trainer>__<Plans>__<configuration>``, whose files are read when they are asked for, each once.

    Raises:
        ManifestError: when a file that is asked for is missing or says nothing.
    """

    path: Path

    @cached_property
    def plans(self) -> Mapping[str, Any]:
        """What plans.json says."""
        return _read(self.path / "plans.json")

    @cached_property
    def dataset(self) -> Mapping[str, Any]:
        """What dataset.json says."""
        return _read(self.path / "dataset.json")

    @cached_property
    def name(self) -> str:
        """The configuration: the end of the folder's name; of a renamed folder what its checkpoint says."""
        stated = self.path.name.rpartition("__")[2]
        known = self.plans.get("configurations")
        if isinstance(known, dict) and stated not in known:
            began = read_content(self.checkpoints()[0][0])
            began = began.get("init_args") if isinstance(began, dict) else None
            stated = str(began.get("configuration") or stated) if isinstance(began, dict) else stated
        return stated

    @cached_property
    def previous_stage(self) -> str | None:
        """The configuration that it continues; None where it is the first."""
        previous = configuration(self.plans, self.name, self.path).get("previous_stage")
        return None if previous is None else str(previous)

    def checkpoints(self, folds: Sequence[str] | None = None) -> tuple[tuple[Path, ...], str]:
        """Find the checkpoints, one a fold in the order of the folds, all of one name, which is given too.

        Args:
            folds: "0", "1", ... or "all"; None: every numbered fold that was trained, or else ``fold_all``.

        Raises:
            ManifestError: when one is missing; names those that are there.
        """
        return _checkpoints(self.path, folds)


def is_model_folder(path: Path) -> bool:
    """Whether a folder is one of a trained configuration."""
    return (path / "plans.json").is_file() and any(path.glob("fold_*"))


def find_model_folders(path: Path) -> list[ModelFolder]:
    """The trained configurations in a folder: itself, or those of a data set's folder, or up to two levels deeper."""
    if is_model_folder(path):
        return [ModelFolder(path)]
    places = (found for pattern in ("*", "*/*", "*/*/*") for found in sorted(path.glob(pattern)))
    return [ModelFolder(found) for found in places if is_model_folder(found)]


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


def _checkpoints(path: Path, folds: Sequence[str] | None) -> tuple[tuple[Path, ...], str]:
    """All of one name: a fold that is still being trained has no final one, and is not mixed with those that have."""
    found = [{fold.name.removeprefix("fold_"): fold / name for fold in path.glob("fold_*")} for name in CHECKPOINTS]
    there = [{fold: file for fold, file in each.items() if file.is_file()} for each in found]
    trained = next((each for each in there if each and (not folds or set(folds) <= set(each))), there[0] or there[1])
    numbered = sorted((name for name in trained if name.isdigit()), key=int)
    wanted = list(folds) if folds else numbered or [name for name in ("all",) if name in trained]
    if missing := [name for name in wanted if name not in trained]:
        have = listed(sorted(trained)) or "none"
        msg = f"{path} has no checkpoint of fold {listed(missing)}; trained folds there: {have}"
        raise ManifestError(msg)
    if not wanted:
        msg = f"{path} has no fold with {' or '.join(CHECKPOINTS)}; give the folder of a finished training"
        raise ManifestError(msg)
    return tuple(trained[name] for name in wanted), trained[wanted[0]].name


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            msg = f"{path} is larger than {LARGEST_TEXT} bytes, which no file of that name is; get it again"
            raise ManifestError(msg)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read ({error}); a model of nnU-Net v2 has one, give the whole folder"
        raise ManifestError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no JSON object; get the file again"
        raise ManifestError(msg)
    return content

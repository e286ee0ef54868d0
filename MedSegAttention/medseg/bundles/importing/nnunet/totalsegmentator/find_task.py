"""Which of TotalSegmentator's tasks a folder of trained models holds, by the numbers of its data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.bundles.importing.nnunet.model_folder import ModelFolder
from medseg.bundles.importing.nnunet.totalsegmentator.tasks import Task, all_tasks
from medseg.bundles.importing.nnunet.totalsegmentator.whole_tasks import OURS, number_of
from medseg.spec.errors import ManifestError
from medseg.spec.fields import listed

_USUAL = "3d_fullres"


@dataclass(frozen=True)
class FoundTask:
    """A task, and where each of its data sets was trained."""

    task: Task
    folders: dict[int, ModelFolder]


def find_task(found: Sequence[ModelFolder], path: Path, wanted: str | None) -> FoundTask | None:
    """Tell which task the trained configurations belong to.

    Without a name, only data sets that are called TotalSegmentator's are looked at: another's may have its number.

    Args:
        found: folders of trained configurations.
        path: what was given, for messages.
        wanted: name of the task; None: the only one that is there.

    Returns:
        The task; None where no data set is TotalSegmentator's.

    Raises:
        ManifestError: when the task is not known or parts of it are missing, or it is not clear which; names them.
    """
    tasks = all_tasks()
    if wanted is not None:
        if wanted not in tasks:
            msg = f"--task is one of {', '.join(tasks)}, got {wanted!r}; other models are imported without it"
            raise ManifestError(msg)
        return FoundTask(tasks[wanted], _folders(tasks[wanted], _by_number(found), path))
    named = _by_number([folder for folder in found if OURS.search(folder.path.parent.name)])
    if not named:
        return None
    whole = [task for task in tasks.values() if not task.around and task.datasets <= set(named)]
    if len(whole) == 1:
        return FoundTask(whole[0], _folders(whole[0], named, path))
    if whole:
        names = ", ".join(task.name for task in whole)
        msg = f"{path} holds several tasks of TotalSegmentator: {names}; choose one with --task"
        raise ManifestError(msg)
    begun = next((task for task in tasks.values() if not task.around and task.datasets & set(named)), None)
    if begun is None:
        return None
    return FoundTask(begun, _folders(begun, named, path))  # which says what is missing


def _by_number(found: Sequence[ModelFolder]) -> dict[int, list[ModelFolder]]:
    numbered: dict[int, list[ModelFolder]] = {}
    for folder in found:
        number = number_of(folder.path.parent.name)
        if number is not None:
            numbered.setdefault(number, []).append(folder)
    return numbered


def _folders(task: Task, numbered: dict[int, list[ModelFolder]], path: Path) -> dict[int, ModelFolder]:
    missing = [str(number) for number in sorted(task.datasets) if number not in numbered]
    if missing:
        msg = (
            f"{path}: the task {task.name} of TotalSegmentator has the data sets "
            f"{', '.join(map(str, sorted(task.datasets)))}, and {', '.join(missing)} are not there; unpack their "
            "weights into the same folder"
        )
        raise ManifestError(msg)
    return {number: _one(numbered[number], path) for number in sorted(task.datasets)}


def _one(folders: list[ModelFolder], path: Path) -> ModelFolder:
    usual = [folder for folder in folders if folder.name == _USUAL] or folders
    if len(usual) > 1:
        names = listed([f"{folder.path.parent.name}/{folder.path.name}" for folder in usual], 10)
        msg = f"{path} holds a data set that was trained several times: {names}; leave one of them"
        raise ManifestError(msg)
    return usual[0]

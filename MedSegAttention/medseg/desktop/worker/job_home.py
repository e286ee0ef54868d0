"""Folders of jobs hold images of patients: each is locked while its process lives, and removed by the next if it died.

A lock ends with its process, however that ended; a process number would be given to another one later.
"""

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from medseg.io.folder_lock import lock

_PREFIX = "medseg-"
_OWNER = ".owner"
_BEING_MADE_SECONDS = 60.0  # a folder may be there, and its lock not yet
_held: dict[Path, BinaryIO] = {}


def make_job_folder(kind: str = "", beside: Path | None = None) -> Path:
    """Make an empty folder in the system's temporary folder, for nobody else to read.

    Args:
        kind: a part of its name.
        beside: another such folder, whose files can then be moved there; None: no matter where.

    Raises:
        OSError: if there is no place.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX + kind, dir=None if beside is None else beside.parent))
    file = (folder / _OWNER).open("wb")
    with suppress(OSError):  # a file system without locks: then nobody else gets one, either
        lock(file.fileno())
    _held[folder] = file
    return folder


def remove_job_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; what another program holds open stays."""
    _let_go(folder)
    shutil.rmtree(folder, ignore_errors=True)


def keep_job_folder(folder: Path) -> None:
    """Leave a folder to the user, who was told of it: nobody removes it."""
    _let_go(folder)
    with suppress(OSError):
        (folder / _OWNER).unlink()


def remove_stale_folders() -> int:
    """Remove the folders whose process has died.

    Returns:
        How many there were.
    """
    count = 0
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        folder = owner.parent
        if folder in _held or folder.is_symlink():
            continue
        try:
            is_stale = time.time() - owner.stat().st_mtime > _BEING_MADE_SECONDS and _is_free(owner)
        except OSError:  # another user's, or gone by now
            continue
        if is_stale:
            shutil.rmtree(folder, ignore_errors=True)
            count += not folder.exists()
    return count


def _let_go(folder: Path) -> None:
    file = _held.pop(folder, None)
    if file is not None:
        file.close()


def _is_free(owner: Path) -> bool:
    with owner.open("r+b") as file:
        try:
            lock(file.fileno())
        except OSError:
            return False
    return True

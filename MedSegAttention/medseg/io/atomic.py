"""A file that appears whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medseg.io.formats import WRITE_SUFFIXES
from medseg.spec.errors import JobError, OutputExists

NAME_BYTES = 255  # of every common file system


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where a file cannot be put, before any work is done.

    Raises:
        JobError: if the folder is missing or may not be written to, or the path is a folder or too long.
        OutputExists: if a file is there and overwriting was not allowed.
    """
    target = path.resolve()
    folder = target.parent
    if not folder.is_dir():
        msg = f"{path}: the folder {folder} does not exist; create it first"
        raise JobError(msg)
    if len(os.fsencode(target.name)) > NAME_BYTES:
        msg = f"{path}: a file name has at most {NAME_BYTES} bytes, got {len(os.fsencode(target.name))}; shorten it"
        raise JobError(msg)
    if target.is_dir():
        msg = f"{path}: an output is a file, and this is a folder; add a file name"
        raise JobError(msg)
    if target.exists() and not overwrite:
        msg = f"{path} exists already and is kept; allow overwriting (--overwrite) or choose another name"
        raise OutputExists(msg)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        msg = f"{path}: the folder {folder} may not be written to; choose another one"
        raise JobError(msg)


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` with the same ending; renamed to it on success, removed on any failure.

    Several of these in one ``contextlib.ExitStack`` let files appear together after all were written.

    Args:
        path: the final name; a symbolic link stays, and the file it points to is replaced.
        overwrite: whether an existing file may be replaced.

    Raises:
        JobError: if the folder cannot take the file.
        OutputExists: if a file is there, also when it came while this one was written.
    """
    check_target(path, overwrite=overwrite)
    target = path.resolve()
    temporary = target.with_name(f".{secrets.token_hex(6)}{_ending(target)}")
    try:
        yield temporary
        if target.exists() and not overwrite:
            msg = f"{path} came to be while the result was computed and is kept; choose another name"
            raise OutputExists(msg)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _ending(path: Path) -> str:
    lower = path.name.lower()
    return next((suffix for suffix in WRITE_SUFFIXES if lower.endswith(suffix)), path.suffix[:16])

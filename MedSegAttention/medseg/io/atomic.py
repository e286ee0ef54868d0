"""A file that appears whole or not at all, alone or together with others."""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from medseg.io.formats import WRITE_SUFFIXES
from medseg.spec.errors import JobError, OutputExists

NAME_BYTES = 255  # of every common file system
_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})


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
    """``replacing_all`` for one file: it appears whole under its name, or what was there stays."""
    with replacing_all([path], overwrite=overwrite) as (temporary,):
        yield temporary


@contextmanager
def replacing_all(paths: Sequence[Path], *, overwrite: bool) -> Iterator[tuple[Path, ...]]:
    """Temporary paths beside several files, with the same endings; renamed together at the end, or not at all.

    On any failure the temporaries are removed and every name holds what it held before.

    Args:
        paths: the final names; a symbolic link stays, and the file it points to is replaced.
        overwrite: whether existing files may be replaced.

    Yields:
        One temporary for each path, each to be written by the caller.

    Raises:
        JobError: if a folder cannot take its file, two paths are one file, or a file is in use when it is replaced.
        OutputExists: if a file is there, also when it came while these were written.
    """
    targets = [path.resolve() for path in paths]
    for path, target in zip(paths, targets, strict=True):
        check_target(path, overwrite=overwrite)
        if targets.count(target) > 1:
            msg = f"{path} is named for two outputs; choose another name for one of them"
            raise JobError(msg)
    temporaries = tuple(_beside(target) for target in targets)
    try:
        with _named(dict(zip(map(str, temporaries), paths, strict=True))):
            yield temporaries
        _rename_all(list(zip(paths, targets, temporaries, strict=True)), overwrite=overwrite)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(shown: Mapping[str, Path]) -> Iterator[None]:
    """Say of a file that cannot be written the name that the user gave it, not that of the temporary.

    Raises:
        JobError: where the disk is full or the system refuses.
    """
    try:
        yield
    except JobError as error:
        words = str(error)
        for temporary, path in shown.items():
            words = words.replace(temporary, str(path))
        if words == str(error):
            raise
        raise JobError(words) from error
    except OSError as error:
        told = shown.get(str(error.filename))
        if told is None and error.errno not in _NO_ROOM:
            raise
        names = ", ".join(map(str, [told] if told is not None else dict.fromkeys(shown.values())))
        reason = error.strerror or error
        msg = f"{names} cannot be written ({reason}) and what was there is kept; free space or choose another place"
        raise JobError(msg) from error


def _rename_all(moves: Sequence[tuple[Path, Path, Path]], *, overwrite: bool) -> None:
    with ExitStack() as undoing:  # runs backwards
        asides: list[Path] = []
        for path, target, temporary in moves:
            existed = target.exists()
            if existed and not overwrite:
                msg = f"{path} came to be while the result was computed and is kept; choose another name"
                raise OutputExists(msg)
            try:
                if existed and temporary != moves[-1][2]:  # the last rename succeeds or changes nothing
                    aside = _beside(target)
                    undoing.callback(_restore, target, aside)
                    try:  # a second name, so that the first is never missing
                        aside.hardlink_to(target)
                    except OSError:  # there are no hard links here
                        target.replace(aside)
                    asides.append(aside)
                temporary.replace(target)
                if not existed:
                    undoing.callback(target.unlink, missing_ok=True)
            except OSError as error:
                if not temporary.exists():  # the caller did not write it: a bug, not the user's mistake
                    raise
                msg = f"{path} is in use or protected ({error.strerror or error}); close it or choose another name"
                raise JobError(msg) from error
        undoing.pop_all()  # everything is in place
    for aside in asides:
        with suppress(OSError):  # in use by someone; the results are there all the same
            aside.unlink()


def _restore(target: Path, aside: Path) -> None:
    try:
        if aside.exists() and not (target.exists() and target.samefile(aside)):
            aside.replace(target)
        aside.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{target} could not be brought back ({error.strerror or error}); what it held is now {aside}"
        raise JobError(msg) from error


def _beside(target: Path) -> Path:
    lower = target.name.lower()
    ending = next((suffix for suffix in WRITE_SUFFIXES if lower.endswith(suffix)), target.suffix[:16])
    return target.with_name(f".{secrets.token_hex(6)}{ending}")

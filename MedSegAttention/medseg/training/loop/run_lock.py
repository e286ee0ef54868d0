"""One training a folder: two that write one checkpoint would each continue the other's weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medseg.spec.errors import JobError

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run's folder; the system lets go of it even after a kill.

    Args:
        folder: made where it is missing.

    Raises:
        JobError: when another training is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"another training is writing to {folder}; wait for it, stop it, or name another output"
        raise JobError(msg) from error
    try:
        yield
    finally:
        lock.release()

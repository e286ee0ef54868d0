"""A folder that one process at a time works in; the system lets go of it even after a kill."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})  # by another process; anything else: no locks here


class FolderLock:
    """A hidden file that is locked while it is there.

    Where the file system knows no locks nobody is kept out.
    """

    def __init__(self, folder: Path, name: str = ".lock") -> None:
        """Remember the place; nothing is locked yet."""
        self._path = folder / name
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it; False where another process, or another part of this one, has it.

        Raises:
            OSError: if the file cannot be made.
        """
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock(descriptor)
            except OSError as error:
                if error.errno in _HELD:
                    os.close(descriptor)
                    return False
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    self._descriptor = descriptor
                    return True
            os.close(descriptor)  # whoever had it removed the file just then

    def release(self) -> None:
        """Let go of it and remove the file; does nothing where it was not taken."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # Windows removes no file that is open
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None
        if sys.platform == "win32":
            with suppress(OSError):  # the next one has it already
                self._path.unlink()


def lock(descriptor: int) -> None:
    """Lock an open file; no other that is opened anew gets a lock then.

    Raises:
        OSError: if another has it, or the file system has none.
    """
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

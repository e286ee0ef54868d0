"""Processes that end together: a worker follows its parent, and killing it leaves no child behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_SECONDS = 0.5
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows: no console flashes up


def own_group() -> None:
    """Make this process the head of its own group, so that it can be killed with its children (POSIX).

    Not on a terminal: a group in the background may not read one, and the terminal's Ctrl-C would not arrive.
    """
    if sys.platform != "win32" and os.getpgrp() != os.getpid() and not os.isatty(0):
        os.setpgid(0, 0)


def die_with_parent() -> None:
    """Ask the Linux kernel to kill this process when its parent ends, even inside a library that blocks Python.

    The kernel counts the *thread* that started us as the parent. Ask only when that thread lives as long as its
    process, as the main thread does. Elsewhere than on Linux nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_parent(on_gone: Callable[[], None]) -> None:
    """Call back, from a thread, when the process that started this one has ended.

    POSIX gives an orphan a new parent. Windows does not; there the end of stdin tells.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        on_gone()

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started; quietly when they have ended already."""
    for child in _descendants(pid):
        _kill(child)
    if sys.platform == "win32":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"
        command = [system, "/PID", str(pid), "/T", "/F"]
        with contextlib.suppress(OSError):  # no taskkill: a stripped system
            subprocess.run(command, capture_output=True, check=False, creationflags=_NO_WINDOW)  # noqa: S603
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:  # its own group, thus not ours
            os.killpg(pid, signal.SIGKILL)
    _kill(pid)


def end_with_children(code: int) -> None:
    """End this process now, whatever its other threads do, and its children with it."""
    for child in _descendants(os.getpid()):
        _kill(child)
    if sys.platform != "win32" and os.getpgrp() == os.getpid():  # our own group: children psutil did not name, and us
        os.killpg(0, signal.SIGKILL)
    os._exit(code)


def _descendants(pid: int) -> list[int]:
    """Process ids of children and theirs; empty without psutil, where the group or taskkill must do."""
    try:
        import psutil  # optional: Slicer does not bring it
    except ImportError:
        return []
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:  # ended meanwhile, or not ours to look at
        return []


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):  # Windows says "invalid parameter" of a process that has ended
        os.kill(pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)

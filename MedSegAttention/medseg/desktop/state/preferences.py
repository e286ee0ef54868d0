"""What a user sets once for this computer, not for a scene: kept by Qt's settings in Slicer, by a dict elsewhere."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from medseg.spec.places import expanded

IDLE_SECONDS = 300.0  # a worker stays warm so long, with torch and the last networks in memory
MIN_IDLE_SECONDS, MAX_IDLE_SECONDS = 0.0, 86400.0
_MEASUREMENTS = 200  # (model, device) pairs remembered; the oldest is dropped

PYTHON = "MedSegAttention/python"
WHEEL_FOLDER = "MedSegAttention/wheelFolder"
MODEL_FOLDERS = "MedSegAttention/sharedModelFolders"
IDLE = "MedSegAttention/idleSeconds"
WINDOWS = "MedSegAttention/windowSeconds"
_SESSION = "MEDSEG_SESSION"
RESTART = "MedSegAttention/restartAskedBy"


class Store(Protocol):
    """The two methods of ``qt.QSettings`` used here."""

    def value(self, key: str, default: Any) -> Any:
        """Give what is stored; some systems give numbers back as text."""

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802 - Qt's name
        """Store a value."""


class MemoryStore:
    """A store that lives as long as the process."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def value(self, key: str, default: Any) -> Any:
        """Give what is stored."""
        return self._values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802 - Qt's name
        """Store a value."""
        self._values[key] = value


class Preferences:
    """Reads and writes the settings one by one; what cannot be understood counts as not set.

    Args:
        store: ``qt.QSettings()`` in Slicer; None: forgotten with the process.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store: Store = MemoryStore() if store is None else store
        self._listeners: list[Callable[[], None]] = []

    def listen(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each change of an interpreter, a folder or a time."""
        self._listeners.append(callback)

    @property
    def python(self) -> str | None:
        """Interpreter that computes, one that has medsegattention; None: Slicer's own."""
        return self._text(PYTHON)

    @python.setter
    def python(self, path: str | None) -> None:
        self._set(PYTHON, (path or "").strip())

    @property
    def wheel_folder(self) -> str | None:
        """Folder of wheels that packages are installed from; None: the network."""
        return self._text(WHEEL_FOLDER)

    @wheel_folder.setter
    def wheel_folder(self, path: str | None) -> None:
        self._set(WHEEL_FOLDER, (path or "").strip())

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Folders of models that others share; they are only read."""
        named = (self._text(MODEL_FOLDERS) or "").split(os.pathsep)
        return tuple(dict.fromkeys(expanded(name.strip()) for name in named if name.strip()))

    @model_folders.setter
    def model_folders(self, folders: Sequence[Path]) -> None:
        self._set(MODEL_FOLDERS, os.pathsep.join(map(str, folders)))

    @property
    def idle_seconds(self) -> float:
        """How long a worker waits for the next job before it ends; 0: it ends at once."""
        seconds = _number(self._store.value(IDLE, IDLE_SECONDS))
        return IDLE_SECONDS if seconds is None else min(max(seconds, MIN_IDLE_SECONDS), MAX_IDLE_SECONDS)

    @idle_seconds.setter
    def idle_seconds(self, seconds: float) -> None:
        self._set(IDLE, float(seconds))

    def window_seconds(self, model: str, device: str) -> float | None:
        """How long one window took the last time.

        Args:
            model: id of a bundle.
            device: name of what it ran on.

        Returns:
            Seconds; None where it never ran.
        """
        return self._measurements().get((model, device))

    def remember_window(self, model: str, device: str, seconds: float) -> None:
        """Remember how long one window took; what cannot be a time is not remembered."""
        if not (math.isfinite(seconds) and seconds > 0):
            return
        known = self._measurements()
        known.pop((model, device), None)  # the latest comes last
        known[model, device] = seconds
        rows = [[*pair, value] for pair, value in known.items()]
        self._store.setValue(WINDOWS, json.dumps(rows[-_MEASUREMENTS:]))

    @property
    def restart(self) -> str:
        """Whether packages wait for a restart: "" no, "needed" in this process, "done" it was restarted since."""
        asked_by = self._text(RESTART)
        if asked_by is None:
            return ""
        return "needed" if asked_by == session() else "done"

    def ask_for_restart(self) -> None:
        """Remember, over the restart, that an installation has to be continued."""
        self._set(RESTART, session())

    def forget_restart(self) -> None:
        """The installation is complete."""
        if self._text(RESTART) is not None:
            self._set(RESTART, "")

    def _text(self, key: str) -> str | None:
        value = self._store.value(key, "")
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        return text or None

    def _set(self, key: str, value: Any) -> None:
        if self._store.value(key, None) == value:
            return
        self._store.setValue(key, value)
        for callback in list(self._listeners):
            callback()

    def _measurements(self) -> dict[tuple[str, str], float]:
        try:
            rows = json.loads(self._store.value(WINDOWS, "[]"))
            found = {(str(model), str(device)): _number(seconds) for model, device, seconds in rows}
        except (ValueError, TypeError, RecursionError):
            return {}
        return {pair: seconds for pair, seconds in found.items() if seconds is not None and seconds > 0}


def stored_preferences() -> Preferences:
    """What the user set in the panel, by Qt's settings; where there is no Qt, nothing is set."""
    try:
        import qt
    except ImportError:
        return Preferences()
    return Preferences(qt.QSettings())


def session() -> str:
    """Name this run of the program; systems give the number of a process to another one later.

    It is kept in the environment, so that a module that is loaded anew still knows it.
    """
    known = os.environ.get(_SESSION, "")
    if not known.startswith(f"{os.getpid()}-"):  # none yet, or that of the process which started this one
        os.environ[_SESSION] = known = f"{os.getpid()}-{time.time_ns()}"
    return known


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

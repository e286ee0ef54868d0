"""Where the user's own files lie, also for a user of whom the system knows no such place."""

import os
from pathlib import Path


def home_folder() -> Path:
    """The home folder; where the system names none, a path below the null device, at which nothing is or can be.

    A service or a container may run as a user without a home folder. Nothing is kept for that user then: a folder that
    others may write to would not do for models and compiled networks.
    """
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull) / "home"


def expanded(name: str | Path) -> Path:
    """A path whose ``~`` is the home folder; as it is where nobody knows whose home that would be."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)

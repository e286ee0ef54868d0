"""The models that the panel offers: the program's and the user's at once, those in shared folders when they answer."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from medseg.bundles.catalogue import (
    PATIENCE_SECONDS,
    BrokenBundle,
    Bundle,
    Scan,
    built_in_folder,
    merged,
    own_folders,
    scan_folder,
    shared_folders,
)
from medseg.desktop.state.in_thread import InThread
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _

FindModels: TypeAlias = Callable[[], Mapping[str, Bundle]]
CurrentModel: TypeAlias = Callable[[], Bundle | None]
"""Gives the model that is chosen; None where it is not installed."""


class Models:
    """Reads folders of models; a drive that does not answer holds nothing up.

    Args:
        preferences: name shared folders, beside those that MEDSEG_SHARED_MODELS names.
        find: gives the models that are not shared; None: those of the program and of the user.
        on_change: called when a shared folder has answered, and when it has not for a while.

    Attributes:
        bundles: every usable model by its id, sorted.
    """

    def __init__(self, preferences: Preferences, find: FindModels | None, on_change: Callable[[], None]) -> None:
        self._preferences, self._find, self._on_change = preferences, find, on_change
        self._asked: dict[Path, InThread[Scan]] = {}  # folders that have not answered
        self._answers: dict[Path, Scan] = {}
        self._begun = 0.0
        self._folders: tuple[Path, ...] = ()
        self._broken: tuple[BrokenBundle, ...] = ()  # of those that are not shared
        self.bundles: dict[str, Bundle] = {}
        self._reminder: InThread[None] | None = None
        preferences.listen(self._look_if_others)
        self.look()

    def look(self) -> None:
        """Read all folders anew; what shared ones answered before is shown until they answer again."""
        self.stop()
        self._folders = shared_folders(self._preferences.model_folders)
        self._answers = {root: found for root, found in self._answers.items() if root in self._folders}
        self._begun = time.monotonic()
        for root in self._folders:
            hear = partial(self._hear, root)
            self._asked[root] = InThread(partial(scan_folder, root, "shared"), hear, partial(self._hear_error, root))
        if self._asked:  # after a while a folder that is still silent gets its sentence
            self._reminder = InThread(partial(time.sleep, PATIENCE_SECONDS), self._remind, lambda _error: None)
        self.reload()

    def reload(self) -> None:
        """Read the program's and the user's folders anew."""
        shared = [self._answers[root] for root in self._folders if root in self._answers]
        if self._find is not None:
            self.bundles = merged(shared).bundles | dict(self._find())
            return
        built_in = scan_folder(built_in_folder(), "built-in")
        own = [scan_folder(root, "own") for root in own_folders()]
        self.bundles = merged([built_in, *shared, *own]).bundles
        self._broken = merged([built_in, *own]).broken

    def lines(self) -> list[str]:
        """One sentence for each shared folder, and one for each model that cannot be used."""
        said = [self._line(root) for root in self._folders]
        broken = [each for found in self._answers.values() for each in found.broken if each.folder not in self._folders]
        return [*said, *(each.reason for each in [*broken, *self._broken])]

    def stop(self) -> None:
        """Wait for no folder any more."""
        for each in self._asked.values():
            each.forget()
        if self._reminder is not None:
            self._reminder.forget()
        self._asked, self._reminder = {}, None

    def _line(self, root: Path) -> str:
        found = self._answers.get(root)
        if root in self._asked:
            if time.monotonic() - self._begun < PATIENCE_SECONDS:
                return _("{folder}: is being read...").format(folder=root)
            text = _(
                "{folder} has not answered yet; its models are missing from the list, or may have changed. Check the "
                "network drive and press Look again, or take the folder out of the setting."
            )
            return text.format(folder=root)
        reason = next((each.reason for each in found.broken if each.folder == root), "") if found else ""
        return reason or _("{folder}: {count} models").format(folder=root, count=len(found.bundles) if found else 0)

    def _hear(self, root: Path, found: Scan) -> None:
        self._asked.pop(root, None)
        self._answers[root] = found
        self._on_change()

    def _hear_error(self, root: Path, reason: str) -> None:
        self._hear(root, Scan({}, (BrokenBundle(root, reason),)))

    def _remind(self, _nothing: None) -> None:
        if self._asked:
            self._on_change()

    def _look_if_others(self) -> None:
        if shared_folders(self._preferences.model_folders) != self._folders:
            self.look()
            self._on_change()

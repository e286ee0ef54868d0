"""Volumes that come into the scene one by one after a result was shown, so that the window never freezes."""

from collections.abc import Callable
from typing import Any

from medseg.desktop.scene.probability_volumes import ProbabilityVolumes
from medseg.desktop.state.steps import Steps


class DeferredVolumes:
    """What is under way; several results may bring volumes at a time.

    Args:
        on_change: called when a volume has come, and at the end.
        say: hears what went wrong.
    """

    def __init__(self, on_change: Callable[[], None], say: Callable[[str], None]) -> None:
        self._on_change, self._say = on_change, say
        self._running: list[Steps[Any]] = []

    @property
    def is_busy(self) -> bool:
        """Whether there is more to come."""
        return any(each.is_running for each in self._running)

    def bring(self, maps: ProbabilityVolumes) -> None:
        """Draw volumes from now on, one step per turn of the event loop."""
        self._running = [each for each in self._running if each.is_running]
        self._running.append(Steps(maps, self._came, self._on_change, self._say))

    def stop(self) -> None:
        """Bring nothing more: the scene is being closed, or the panel."""
        for each in self._running:
            each.stop()
        self._running = []

    def _came(self, node: Any) -> None:
        if node is not None:
            self._on_change()

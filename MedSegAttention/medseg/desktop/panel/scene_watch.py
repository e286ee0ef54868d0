"""What happens to Slicer's scene is told to the panel."""

from collections.abc import Callable
from typing import Protocol

from medseg.mrml.grids import Node


class FollowsScene(Protocol):
    """What is told."""

    def leave_scene(self) -> None:
        """The scene is about to be closed."""

    def set_scene(self, scene: Node) -> None:
        """The scene was closed, or another was loaded into it."""

    def refresh(self) -> None:
        """Something was loaded."""


class SceneWatch:
    """Tells a panel when its scene is closed, loaded and filled.

    Args:
        scene: Slicer's scene.
        panel: of the module.
        on_stop: called when nothing is told any more.
    """

    def __init__(self, scene: Node, panel: FollowsScene, on_stop: Callable[[], None] = lambda: None) -> None:
        self._scene, self._on_stop = scene, on_stop
        self._tags = [
            scene.AddObserver(scene.StartCloseEvent, lambda *_: panel.leave_scene()),
            scene.AddObserver(scene.EndCloseEvent, lambda *_: panel.set_scene(scene)),
            scene.AddObserver(scene.EndImportEvent, lambda *_: panel.set_scene(scene)),
            # Only now do the node selectors know what was loaded.
            scene.AddObserver(scene.EndBatchProcessEvent, lambda *_: panel.refresh()),
        ]

    def stop(self) -> None:
        """Tell nothing any more."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []
        self._on_stop()

"""A volume laid over the scan in all slice views, and what was there before."""

from medseg.mrml.grids import Node

_OPACITY = 0.5


class Foreground:
    """Remembers, for each slice view, what lay over the scan before."""

    def __init__(self) -> None:
        self._before: list[tuple[Node, str | None, float]] = []
        self._volume_id = ""

    def show(self, scene: Node, volume: Node) -> None:
        """Lay a volume over the scan, half transparent."""
        self.take_off()
        self._volume_id = volume.GetID()
        kind = "vtkMRMLSliceCompositeNode"
        for number in range(scene.GetNumberOfNodesByClass(kind)):
            view = scene.GetNthNodeByClass(number, kind)
            self._before.append((view, view.GetForegroundVolumeID(), view.GetForegroundOpacity()))
            view.SetForegroundVolumeID(self._volume_id)
            view.SetForegroundOpacity(_OPACITY)

    def take_off(self) -> None:
        """Put back what was there before, in the views that still show the volume."""
        for view, volume_id, opacity in self._before:
            if view.GetForegroundVolumeID() == self._volume_id:
                gone = volume_id is not None and (
                    view.GetScene() is None or view.GetScene().GetNodeByID(volume_id) is None
                )
                view.SetForegroundVolumeID(None if gone else volume_id)
                view.SetForegroundOpacity(opacity)
        self._before = []

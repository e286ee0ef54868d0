"""Scenes of real MRML that can be saved as one .mrb file and opened again, without the desktop application."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened_scene(folder: Path) -> Iterator[Any]:
    """An empty scene with the logics that files need; ``folder`` gets what it unpacks."""
    import slicer

    scene = slicer.vtkMRMLScene()
    logics = [slicer.vtkSlicerSegmentationsModuleLogic(), slicer.vtkSlicerSequencesLogic()]
    remote, manager = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
    for logic in (*logics, remote, manager):
        logic.SetMRMLScene(scene)
    cache = folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    try:
        yield scene
    finally:
        scene.Clear(True)
        remote.RemoveDataIOFromScene()
        for logic in (*logics, remote, manager):
            logic.SetMRMLScene(None)


def save(scene: Any, path: Path) -> None:
    """Write a scene as .mrb."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLStorableNode")
        if node.GetSaveWithScene() and node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
    assert scene.WriteToMRB(str(path))

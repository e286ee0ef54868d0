"""slicer.app.coreIOManager(): volumes, segmentations and scenes from and to files, through Slicer's own logics."""
# ruff: noqa: N802 - Slicer's names

from pathlib import Path


class Files:
    """The part of qSlicerCoreIOManager below ``slicer.util.loadVolume``, ``loadSegmentation``, ``saveScene`` ...

    Args:
        slicer: the package.
        app: the application.
    """

    def __init__(self, slicer, app):
        self._app = app
        self._remote = slicer.vtkMRMLRemoteIOLogic()  # without a cache folder no .mrb can be read
        self._remote.SetMRMLScene(app.scene)
        cache = Path(app.temporaryPath) / "cache"
        cache.mkdir(exist_ok=True)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._manager = slicer.vtkDataIOManagerLogic()
        self._manager.SetMRMLScene(app.scene)
        self._manager.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def fileWriterFileType(self, _node, _path=""):
        return "Node"

    def loadNodes(self, kind, wanted, found=None, _messages=None):
        path = str(wanted["fileName"])
        name = wanted.get("name") or Path(path).name.partition(".")[0]
        if kind == "SceneFile":
            return self._load_scene(path, bool(wanted.get("clear", False)))
        if kind == "VolumeFile":
            node = self._app.module_logic("volumes").AddArchetypeVolume(path, name, int(bool(wanted.get("labelmap"))))
        elif kind == "SegmentationFile":
            node = self._app.module_logic("segmentations").LoadSegmentationFromFile(path, True, name)
        else:
            msg = f"the stand-in reads volumes, segmentations and scenes, no {kind}"
            raise LookupError(msg)
        if node is not None and found is not None:
            found.AddItem(node)
        return node is not None

    def saveNodes(self, kind, wanted, _messages=None):
        path = str(wanted["fileName"])
        scene = self._app.scene
        if kind == "SceneFile":
            return self._save_scene(path)
        node = scene.GetNodeByID(wanted["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))

    def _load_scene(self, path, is_clean):
        scene = self._app.scene
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, is_clean))
        scene.SetURL(path)
        return bool(scene.Connect() if is_clean else scene.Import())

    def _save_scene(self, path):
        scene = self._app.scene
        if path.endswith(".mrb"):
            return bool(scene.WriteToMRB(path))
        scene.SetRootDirectory(str(Path(path).parent))
        scene.SetURL(path)
        return bool(scene.Commit())

    def close(self):
        """Let go of the scene."""
        self._remote.RemoveDataIOFromScene()
        self._manager.SetMRMLScene(None)
        self._remote.SetMRMLScene(None)

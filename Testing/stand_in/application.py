"""slicer.app and slicer.modules on a real scene with real logics, without windows."""
# ruff: noqa: N802, N815 - Qt's and Slicer's names

import sys
from functools import partial
from types import SimpleNamespace

from PySide6 import QtWidgets

from stand_in.events import turn
from stand_in.files import Files
from stand_in.pythonqt import adapted

_LOGICS = {  # the first ones make their nodes known to the scene
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "models": "vtkSlicerModelsLogic",
    "tables": "vtkSlicerTablesLogic",
    "transforms": "vtkSlicerTransformLogic",
    "cropvolume": "vtkSlicerCropVolumeLogic",
    "colors": "vtkSlicerColorLogic",
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
}
_AT_ONCE = 5


class Application:
    """The part of qSlicerApplication that scripts use.

    Args:
        slicer: the package.
        qt: the module ``qt``.
        folder: for temporary files and settings.
    """

    applicationName, applicationVersion = "Slicer", "5.13.0-stand-in"
    majorVersion, minorVersion, revision = 5, 13, "0"

    def __init__(self, slicer, qt, folder):
        self.temporaryPath = str(folder)
        self.scene = slicer.vtkMRMLScene()
        self._slicer, self._qt = slicer, qt
        self._settings = qt.QSettings(str(folder / "Slicer.ini"), qt.QSettings.IniFormat)
        self._revision = qt.QSettings(str(folder / "Slicer-1.ini"), qt.QSettings.IniFormat)
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetTemporaryPath(self.temporaryPath)
        self._logic.SetMRMLScene(self.scene)
        self._logics = {}
        for name in list(_LOGICS)[:_AT_ONCE]:
            self.module_logic(name)
        self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # as the module Colors does
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self._started = []  # slots of startupCompleted()
        self._window = qt.QMainWindow()
        self._window.setObjectName("qSlicerMainWindow")
        self._layouts = LayoutManager(slicer, self.scene)
        self._files = Files(slicer, self)
        self.slicerHome = str(folder)
        self.startupEnvironment = lambda: qt.QProcessEnvironment.systemEnvironment()

    def module_logic(self, name):
        """The real logic of a module, on the scene."""
        if name not in self._logics:
            logic = getattr(self._slicer, _LOGICS[name])()
            logic.SetMRMLApplicationLogic(self._logic)
            logic.SetMRMLScene(self.scene)
            self._logics[name] = logic
        return self._logics[name]

    def modules(self):
        """slicer.modules: an attribute a module, each with ``logic()``."""
        return SimpleNamespace(**{name: SimpleNamespace(logic=partial(self.module_logic, name)) for name in _LOGICS})

    def connect(self, signal, slot):
        assert signal == "startupCompleted()", signal
        self._started.append(slot)

    def start(self):
        """Tell who asked for it that the application has started."""
        for slot in self._started:
            slot()

    def close(self):
        """Let go of the scene."""
        self._layouts.close()
        self._files.close()
        self.scene.Clear(True)
        for logic in self._logics.values():
            logic.SetMRMLScene(None)
        self._window.deleteLater()

    def applicationLogic(self):
        return self._logic

    def mrmlScene(self):
        return self.scene

    def settings(self):
        return self._settings

    userSettings = settings

    def revisionUserSettings(self):
        return self._revision

    def layoutManager(self):
        return self._layouts

    def coreIOManager(self):
        return self._files

    ioManager = coreIOManager

    def processEvents(self, *_):
        turn()

    def topLevelWidgets(self):
        return [self._window, *map(adapted, QtWidgets.QApplication.topLevelWidgets())]

    def mainWindow(self):
        return self._window

    def palette(self):
        return QtWidgets.QApplication.palette()

    def testingEnabled(self):
        return False

    def setOverrideCursor(self, cursor):
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self):
        QtWidgets.QApplication.restoreOverrideCursor()

    def pauseRender(self):
        """Nothing is drawn."""

    def resumeRender(self):
        """Nothing is drawn."""

    def pythonExecutable(self):
        return sys.executable


class LayoutManager:
    """The three slice views, as real nodes and real logics that nobody draws."""

    threeDViewCount = 0

    def __init__(self, slicer, scene):
        self._logics = {}
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
        for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLScene(scene)
            logic.AddSliceNode(name).SetOrientation(orientation)
            self._logics[name] = logic

    def sliceViewNames(self):
        return tuple(self._logics)

    def sliceWidget(self, name):
        logic = self._logics[name]
        return SimpleNamespace(mrmlSliceNode=logic.GetSliceNode, sliceLogic=lambda: logic)

    def close(self):
        """Let go of the scene."""
        for logic in self._logics.values():
            logic.SetMRMLScene(None)

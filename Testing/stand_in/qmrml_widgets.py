"""The smaller qMRML and qSlicer widgets."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtWidgets

from stand_in.ctk_numbers import ctkSliderWidget
from stand_in.pythonqt import wrapped
from stand_in.widgets import properties


class _WithScene:
    """Keeps a scene and hands it to the children that want one."""

    mrmlSceneChanged = QtCore.Signal(object)
    _cpp_signals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}  # noqa: RUF012

    def mrmlScene(self):
        return self.__dict__.get("_scene")

    def setMRMLScene(self, scene):
        self.__dict__["_scene"] = scene
        self.mrmlSceneChanged.emit(scene)


class qMRMLWidget(_WithScene, wrapped(QtWidgets.QWidget)):
    """A widget that knows the scene. The original gives it to nobody by itself, and neither does this one."""

    _is_cpp = True
    mrmlSceneChanged = QtCore.Signal(object)


class qSlicerWidget(_WithScene, wrapped(QtWidgets.QWidget)):
    """As qMRMLWidget."""

    _is_cpp = True
    mrmlSceneChanged = QtCore.Signal(object)


@properties(quantity="", unitAwareProperties=0)
class qMRMLSliderWidget(ctkSliderWidget):
    """A slider whose unit comes from the scene; units are not played here."""

    def setMRMLScene(self, scene):
        self.__dict__["_scene"] = scene

    def mrmlScene(self):
        return self.__dict__.get("_scene")


@properties(locked=False)
class qMRMLSegmentationShow3DButton(wrapped(QtWidgets.QPushButton)):
    """A button with a check mark: whether the segmentation's surface exists and is shown."""

    def __init__(self, parent=None):
        super().__init__("Show 3D", parent)
        self.checkable = True
        self.__dict__["_node"] = None
        self.setEnabled(False)
        self.connect("toggled(bool)", self._toggled)

    def setSegmentationNode(self, node):
        self.__dict__["_node"] = node
        self.setEnabled(node is not None)

    def segmentationNode(self):
        return self._node

    def _toggled(self, is_on):
        if is_on:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()

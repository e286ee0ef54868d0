"""Loads ``.ui`` files into PythonQt-like widgets; what the file asks for and nobody has is an error."""
# ruff: noqa: N802 - Qt's and Slicer's names

import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from stand_in.pythonqt import properties_of, wrapped
from stand_in.widgets import properties

_SPECIAL = {"buddy"}  # what .ui files write as properties and Qt has as functions


@properties(orientation=QtCore.Qt.Orientation.Horizontal)
class Line(wrapped(QtWidgets.QFrame)):
    """Qt Designer's name for a frame that is a line."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.frameShape = QtWidgets.QFrame.Shape.HLine
        self.frameShadow = QtWidgets.QFrame.Shadow.Sunken

    def _after_orientation(self):
        is_flat = self.orientation == QtCore.Qt.Orientation.Horizontal
        self.frameShape = QtWidgets.QFrame.Shape.HLine if is_flat else QtWidgets.QFrame.Shape.VLine


def make_loader(qt, custom):
    """The class QUiLoader.

    Args:
        qt: the module ``qt``.
        custom: name -> class of the ctk, qMRML and qSlicer widgets.
    """

    custom = {**custom, "Line": Line}

    class QUiLoader(QtUiTools.QUiLoader):
        def createWidget(self, name, parent=None, object_name=""):
            kind = custom.get(name) or getattr(qt, name, None)
            if kind is None:
                self._missing.append(f"the stand-in has no widget class {name!r} ({object_name})")
                kind = wrapped(QtWidgets.QWidget)
            widget = kind(parent)
            widget.setObjectName(object_name)
            self._made.append(widget)
            return widget

        def load(self, device, parent=None):
            self._made, self._missing = [], []
            tree = ET.fromstring(bytes(device.readAll().data()))  # noqa: S314 - our own files
            later = _take_out_custom_enums(tree, custom)
            self._missing += _unknown_properties(tree, lambda name: custom.get(name) or getattr(qt, name, None))
            buffer = QtCore.QBuffer()
            buffer.setData(ET.tostring(tree))
            buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
            widget = super().load(buffer, parent)
            if self._missing:
                raise LookupError("; ".join(self._missing))
            by_name = {each.objectName: each for each in self._made}
            for object_name, name, value in later:
                setattr(by_name[object_name], name, value)
            widget.__dict__["_made_with"] = self._made  # else Python forgets what they are
            return widget

    return QUiLoader


def _take_out_custom_enums(tree, custom):
    """Remove enumerations of custom classes, which Qt knows nothing of; (object, property, value) to set afterwards."""
    later = []
    for element in tree.iter("widget"):
        for each in list(element.findall("property")):
            inside = each.find("set") if each.find("set") is not None else each.find("enum")
            names = [] if inside is None else (inside.text or "").split("|")
            owner = names[0].partition("::")[0] if names else ""
            if owner in custom:
                value = 0
                for name in names:
                    value |= int(getattr(custom[owner], name.split("::")[-1]))
                later.append((element.get("name"), each.get("name"), value))
                element.remove(each)
    return later


def _unknown_properties(tree, find_class):
    for element in tree.iter("widget"):
        kind = find_class(element.get("class"))
        for each in element.findall("property") if kind is not None else ():
            if each.get("name") not in properties_of(kind) | _SPECIAL and each.get("stdset") != "0":
                yield f"{element.get('class')} has no property {each.get('name')!r} ({element.get('name')})"

"""slicer.ScriptedLoadableModule: the four base classes, as far as a module needs them."""
# ruff: noqa: N802 - Slicer's names

import importlib.util
import sys
import unittest
from pathlib import Path
from types import ModuleType


def install(monkeypatch):
    """Make ``slicer.ScriptedLoadableModule`` and ``slicer.i18n`` work until the test ends; texts stay English."""
    import slicer

    i18n = ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda _context, text: text
    for name, module in (("i18n", i18n), ("ScriptedLoadableModule", sys.modules[__name__])):
        monkeypatch.setitem(sys.modules, f"slicer.{name}", module)
        monkeypatch.setattr(slicer, name, module, raising=False)


def import_door(monkeypatch, path):
    """Import a module file as Slicer does, alone and by its path."""
    install(monkeypatch)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


class ScriptedLoadableModule:
    """Title and texts go to ``parent``."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """Has a parent with a layout; the section for developers and the reload button are left out."""

    def __init__(self, parent=None):
        import qt

        self.moduleName = type(self).__name__.removesuffix("Widget")
        if parent is None:
            parent = qt.QWidget()
            parent.setLayout(qt.QVBoxLayout())
        self.parent = parent
        self.layout = parent.layout()
        self.developerMode = False
        self.logic = None

    def setup(self):
        """Nothing to show."""

    def cleanup(self):
        """Nothing to let go."""

    def enter(self):
        """Nothing happens."""

    def exit(self):
        """Nothing happens."""

    def resourcePath(self, name):
        return str(Path(sys.modules[type(self).__module__].__file__).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    """Keeps one parameter node a scene."""

    def __init__(self, parent=None):
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        import slicer

        scene = slicer.mrmlScene
        found = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if found is not None:
            return found
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetName(self.moduleName)
        return scene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    """unittest's, with Slicer's pause for spectators."""

    def delayDisplay(self, message, *_arguments, **_named):
        """Nobody looks."""

    def runTest(self):
        """Nothing to run."""

"""What the widgets offer; Qt is played."""

import importlib
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest


@pytest.fixture
def controls(monkeypatch):
    class Selector(MagicMock):
        """A new one each time it is made."""

    for name in ("qt", "ctk"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "slicer", SimpleNamespace(qMRMLNodeComboBox=Selector))
    monkeypatch.delitem(sys.modules, "medseg.desktop.controls", raising=False)
    yield importlib.import_module("medseg.desktop.controls").Controls()
    sys.modules.pop("medseg.desktop.controls", None)


def test_labelmaps_and_colour_images_are_not_offered_as_scans(controls):
    controls.set_channels(["T1", "FLAIR"], None)
    assert [selector.nodeTypes for selector in controls.inputs] == [["vtkMRMLScalarVolumeNode"]] * 2
    assert [selector.showChildNodeTypes for selector in controls.inputs] == [False, False]

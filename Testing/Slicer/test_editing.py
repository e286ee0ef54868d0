"""What was segmented goes on in the Segment Editor: its segmentation and its own volume, not what is chosen above."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.undo import UndoStack
from medseg.desktop.state.parameters import Parameters
from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from mrml_nodes import volume_node_from_image


@pytest.fixture
def editor(slicer_scene, monkeypatch):
    """The Segment Editor's real parameter node below a module that, when it is entered, chooses the newest nodes."""
    import slicer

    node = slicer_scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")

    def newest(kind):
        return slicer_scene.GetNthNodeByClass(slicer_scene.GetNumberOfNodesByClass(kind) - 1, kind)

    def enter(name):
        assert name == "SegmentEditor"
        node.SetAndObserveSegmentationNode(newest("vtkMRMLSegmentationNode"))
        node.SetAndObserveSourceVolumeNode(newest("vtkMRMLScalarVolumeNode"))

    widget = SimpleNamespace(
        setSegmentationNode=node.SetAndObserveSegmentationNode, setSourceVolumeNode=node.SetAndObserveSourceVolumeNode
    )
    monkeypatch.setattr(slicer.util, "selectModule", enter)
    monkeypatch.setattr(slicer.util, "getModuleWidget", {"SegmentEditor": SimpleNamespace(editor=widget)}.__getitem__)
    return node


@pytest.fixture
def view(slicer_scene):
    from medseg.desktop.panel.sections.results import ResultsView

    made = ResultsView(Parameters(slicer_scene), undo=UndoStack())
    yield made
    made.stop()


def segmented(scene, array, specs, name):
    volume = volume_node_from_image(scene, Image(array.astype(np.float32)), name)
    return add_segmentation(scene, Image(array), specs, name=f"{name} segmentation", reference_node=volume), volume


def child(view, name):
    return view.widget.findChild("QWidget", name)


def test_the_editor_takes_the_segments_that_are_looked_at_and_their_own_volume(
    slicer_scene, array, specs, view, editor
):
    anna, her_volume = segmented(slicer_scene, array, specs, "Anna")
    segmented(slicer_scene, array, specs, "Bert")
    view.show(anna)
    child(view, "editButton").click()
    assert editor.GetSegmentationNode() is anna
    assert editor.GetSourceVolumeNode() is her_volume


def test_segments_without_a_volume_are_edited_too(slicer_scene, array, specs, view, editor):
    anna, her_volume = segmented(slicer_scene, array, specs, "Anna")
    bert, _his = segmented(slicer_scene, array, specs, "Bert")
    slicer_scene.RemoveNode(her_volume)
    view.show(anna)
    child(view, "editButton").click()
    assert editor.GetSegmentationNode() is anna
    assert editor.GetSegmentationNode() is not bert


def test_without_a_main_window_the_panel_says_that_there_is_no_editor(slicer_scene, array, specs, view, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "moduleSelector", lambda: None)
    anna, _volume = segmented(slicer_scene, array, specs, "Anna")
    view.show(anna)
    child(view, "editButton").click()
    assert child(view, "statusLabel").text.startswith("The Segment Editor could not be opened: ")


def test_without_segments_there_is_nothing_to_edit(view):
    assert not child(view, "editButton").enabled
    assert child(view, "editButton").text == "Edit in Segment Editor"
    assert child(view, "dicomButton").text == "Export DICOM SEG..."

"""What the panel looks like: one column of fields with a margin, what matters in sight, the rest below Advanced."""

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from fake_process import FakeProcess
from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from mrml_nodes import volume_node_from_image

WIDTH = 390  # of Slicer's module panel in a window of 1090 x 590
HEIGHT = 590 - 290  # of it: menu, tool bar, title, Help and the data probe take the rest


@pytest.fixture
def panel(slicer_scene, array):
    from medseg.desktop.panel.panel import Panel

    volume_node_from_image(slicer_scene, Image(array.astype(np.float32)), "brain T1")
    made = Panel(slicer_scene, FakeProcess().made_for)
    made.widget.show()
    yield made
    made.close()


def place(panel, widget):
    """Left edge and lower edge in pixels of the panel."""
    from PySide6 import QtCore, QtWidgets

    corner = QtWidgets.QWidget.mapTo(widget, panel.widget, QtCore.QPoint(0, 0))
    return corner.x(), corner.y() + QtWidgets.QWidget.height(widget)


def child(panel, name):
    return panel.widget.findChild("QWidget", name)


def test_all_fields_begin_in_one_column_and_nothing_touches_the_edge(panel, slicer_scene, array, specs, grab, tmp_path):
    panel.results.show(add_segmentation(slicer_scene, Image(array), specs, name="brain T1 segmentation"))
    panel.parameters.set_node("output", panel.results.node)
    panel.refresh()
    grab(panel.widget, tmp_path / "panel.png", WIDTH)
    fields = [*panel.choices.inputs.selectors, *(child(panel, n) for n in ("model", "output", "mode"))]
    fields.append(child(panel, "segmentationSelector"))
    assert len({place(panel, field)[0] for field in fields}) == 1
    labels = [child(panel, name) for name in ("modelLabel", "outputLabel", "segmentationLabel", "apply")]
    (left,) = {place(panel, each)[0] for each in labels}
    assert left >= 4


def test_the_status_line_is_above_the_fold_of_a_small_window(panel, grab, tmp_path):
    panel.say("Done in 5 s")
    grab(panel.widget, tmp_path / "panel.png", WIDTH)
    _left, bottom = place(panel, panel.names.status)
    assert bottom <= HEIGHT


def test_the_network_can_be_read_in_the_closed_box(panel, grab, tmp_path):
    panel.parameters.change(model="hippocampus-ultralight3d")
    grab(panel.widget, tmp_path / "panel.png", WIDTH)
    from PySide6 import QtWidgets

    box = child(panel, "model")
    room = QtWidgets.QWidget.width(box) - 30  # the arrow and the frame
    assert QtWidgets.QWidget.fontMetrics(box).horizontalAdvance(box.currentText) <= room


def test_what_few_people_need_is_below_one_heading_which_says_what_was_changed_there(panel):
    sections = panel.sections
    seen = [button.text for button in sections.buttons if button.visible]
    assert seen == ["Region", "Queue"]
    assert sections.advanced.text == "Advanced"
    panel.parameters.change(overlap=0.25)
    assert sections.advanced.text == "Advanced (changed: Performance)"
    assert sections.advanced.accessibleName == sections.advanced.text
    sections.advanced.collapsed = False
    assert all(button.visible for button in sections.buttons)

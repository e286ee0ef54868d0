"""The view of a result with real nodes: surfaces, jumps, statistics, comparison, and long things in steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from medseg.desktop.scene.undo import UndoStack, UndoStep
from medseg.desktop.state.parameters import REFERENCE, Parameters
from medseg.desktop.state.steps import Steps
from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.errors import ImageError
from mrml_nodes import volume_node_from_image

AFFINE = np.diag([2.0, 2.0, 2.5, 1.0])


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def volume(scene, array):
    return volume_node_from_image(scene, Image(array.astype(np.float32) * 10, AFFINE), "CT")


@pytest.fixture
def result(scene, volume, array, specs):
    return add_segmentation(scene, Image(array, AFFINE), specs, name="found", reference_node=volume)


@pytest.fixture
def made(slicer_app, scene):
    """The view and what it asked for."""
    from medseg.desktop.panel.sections.results import ResultsView

    it = SimpleNamespace(app=slicer_app, said=[], undo=UndoStack(), path=None, parameters=Parameters(scene))

    it.view = ResultsView(
        it.parameters,
        undo=it.undo,
        on_undo=it.said.append,
        ask_path=lambda _name: it.path,
    )
    it.widget = it.view.widget
    it.parameters.listen(it.view.refresh)
    yield it
    it.view.stop()


def child(made, name):
    return made.widget.findChild("QWidget", name)


def click(made, name):
    button = child(made, name)
    assert button.enabled, "a user cannot click what is disabled"
    button.click()


def status(made):
    return child(made, "statusLabel").text


def finish(made):
    """Let the event loop turn until nothing is under way; returns what the status line said meanwhile."""
    said = []
    for _ in range(200):
        made.app.processEvents()
        if not said or said[-1] != status(made):
            said.append(status(made))
        if child(made, "show3dButton").text != "Stop &3D" and child(made, "measureButton").text != "S&top":
            return said
    pytest.fail(f"it never ends: {said[-1]}")


def rows(made):
    table = child(made, "statisticsTable")
    shown = [column for column in range(6) if not table.isColumnHidden(column)]
    return [[table.item(line, column).text() for column in shown] for line in range(table.rowCount)]


def test_it_is_hidden_until_there_is_a_result_and_after_the_scene_was_closed(made, result):
    assert made.widget.isHidden()
    made.view.show(result)
    assert not made.widget.isHidden()
    assert child(made, "segmentsTable").segmentationNode() is result
    made.view.clear()
    assert made.widget.isHidden()
    assert child(made, "segmentsTable").segmentationNode() is None


def test_surfaces_are_made_one_by_one_then_shown_and_hidden_again(made, result):
    made.view.show(result)
    click(made, "show3dButton")
    assert child(made, "show3dButton").text == "Stop &3D"
    said = finish(made)
    assert [text for text in said if text.startswith("Making")] == [f"Making surfaces: {n} of 3" for n in (1, 2, 3)]
    assert result.GetSegmentation().ContainsRepresentation("Closed surface")
    assert result.GetDisplayNode().GetVisibility3D()
    assert child(made, "show3dButton").text == "Hide &3D"
    click(made, "show3dButton")
    assert not result.GetDisplayNode().GetVisibility3D()
    assert child(made, "show3dButton").text == "Show &3D"
    click(made, "show3dButton")
    finish(made)
    assert result.GetDisplayNode().GetVisibility3D()


@pytest.mark.parametrize("is_picture", [False, True])
def test_a_single_slice_has_a_column_of_areas_and_a_picture_one_of_pixels(made, scene, array, specs, is_picture):
    heading, size = ("Pixels\n(size unknown)", "6") if is_picture else ("Area\ncm²", "0.240")
    flat = array[:, :, :, :1]
    affine = np.eye(4) if is_picture else AFFINE
    film = volume_node_from_image(scene, Image(flat.astype(np.float32), affine), "film")
    if is_picture:
        film.AddDefaultStorageNode()
        film.GetStorageNode().SetFileName("film.png")
    made.view.show(add_segmentation(scene, Image(flat, affine), specs[:1], name="found", reference_node=film))
    click(made, "measureButton")
    finish(made)
    table = child(made, "statisticsTable")
    shown = [table.horizontalHeaderItem(n).text() for n in range(6) if not table.isColumnHidden(n)]
    assert shown == ["Segment", heading, "Mean", "Std"]
    assert rows(made)[0][1] == size
    assert table.item(0, 1).toolTip().startswith("6 voxels")
    assert ("does not say how large" in table.item(0, 1).toolTip()) == is_picture


def test_stopping_leaves_no_half_made_surfaces(made, result):
    made.view.show(result)
    click(made, "show3dButton")
    made.app.processEvents()
    click(made, "show3dButton")
    finish(made)
    assert not result.GetSegmentation().ContainsRepresentation("Closed surface")
    assert status(made) == "Stopped; no surfaces were made."
    assert child(made, "show3dButton").text == "Show &3D"


def test_a_result_deleted_while_surfaces_are_made_stops_it(made, result, scene):
    made.view.show(result)
    click(made, "show3dButton")
    made.app.processEvents()
    scene.RemoveNode(result)
    finish(made)
    assert made.view.node is None
    assert not child(made, "show3dButton").enabled


def test_going_to_a_segment_centres_the_slice_views(made, result, scene, array):
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    made.view.show(result)
    click(made, "goButton")
    assert status(made) == "Choose a segment in the table first."
    child(made, "segmentsTable").setSelectedSegmentIDs(["Segment_1"])
    click(made, "goButton")
    matrix = view.GetSliceToRAS()
    here = [matrix.GetElement(row, 3) for row in range(3)]
    i, j, k = np.linalg.solve(AFFINE, [*here, 1])[:3].round().astype(int)
    assert result.GetSegmentation().GetSegment("Segment_1").GetName() == "Left hippocampus"
    assert array[0, i, j, k] == 1
    assert status(made) == ""


def test_an_empty_segment_is_nowhere_to_go(made, result):
    made.view.show(result)
    child(made, "segmentsTable").setSelectedSegmentIDs(["Segment_3"])
    click(made, "goButton")
    assert status(made) == "Spleen is empty; there is nowhere to go."


def test_enter_on_a_line_of_the_statistics_goes_there_too(made, result, scene):
    from PySide6 import QtCore, QtTest

    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    before = view.GetSliceToRAS().GetElement(0, 3)
    table = child(made, "statisticsTable")
    table.setCurrentCell(1, 0)
    made.widget.show()
    table.setFocus()
    QtTest.QTest.keyClick(table, QtCore.Qt.Key.Key_Return)
    assert view.GetSliceToRAS().GetElement(0, 3) != before


def test_statistics_have_the_volume_and_the_intensity_of_each_segment(made, result, array):
    made.view.show(result)
    click(made, "measureButton")
    said = finish(made)
    assert [text for text in said if text.startswith("Measuring")] == [f"Measuring: {n} of 3" for n in (1, 2, 3)]
    names, volumes, surfaces, means, deviations = zip(*rows(made), strict=True)
    assert names == ("Left hippocampus", "Liver", "Spleen")
    assert volumes == tuple(f"{(array == value).sum() * 0.01:.3f}" for value in (1, 2, 3))  # a voxel has 10 mm3
    assert means == ("10.00", "20.00", "–")
    assert deviations == ("0.000", "0.000", "–")
    assert float(surfaces[0]) > 0
    assert child(made, "statisticsTable").item(0, 1).toolTip() == f"{(array == 1).sum()} voxels"


def test_statistics_become_a_table_node_and_a_file(made, result, scene, tmp_path):
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    click(made, "tableNodeButton")
    node = scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert node.GetNumberOfRows() == 3
    assert node.GetName() in status(made)
    click(made, "saveButton")
    assert list(tmp_path.iterdir()) == []
    made.path = tmp_path / "report.csv"
    click(made, "saveButton")
    lines = made.path.read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["Left hippocampus", "Liver", "Spleen"]
    made.path = tmp_path / "nowhere" / "report.csv"
    click(made, "saveButton")
    assert str(made.path.parent) in status(made)


def choose_reference(made, node):
    """As a user does, with the mouse or the arrow keys."""
    selector = child(made, "referenceSelector")
    selector.setCurrentNode(node)
    selector.nodeActivated.emit(node)


def test_dice_is_a_column_beside_the_statistics(made, result, scene, volume, array, specs):
    other = array.copy()
    other[0, 5, 2:6, 3] = 0  # 4 of the 5 voxels of the liver
    reference = add_segmentation(scene, Image(other, AFFINE), specs[:2], name="truth", reference_node=volume)
    reference.GetSegmentation().AddEmptySegment("mine", "Kidney")
    made.view.show(result)
    choose_reference(made, reference)
    finish(made)
    assert made.parameters.node(REFERENCE) is reference
    assert [(row[0], row[-1]) for row in rows(made)] == [
        ("Left hippocampus", "1.000"),
        ("Liver", "0.333"),  # 2 * 1 / (5 + 1)
        ("Spleen", "–"),
        ("Kidney (reference only)", "–"),
    ]
    click(made, "measureButton")
    finish(made)
    assert rows(made)[1][0] == "Liver"
    assert rows(made)[1][1] != ""
    assert rows(made)[1][-1] == "0.333"


def test_a_segmentation_is_not_compared_with_itself(made, result):
    made.view.show(result)
    choose_reference(made, result)
    assert "Choose another segmentation" in status(made)


def test_a_reference_that_is_deleted_is_not_replaced_by_another(made, result, scene, array, specs):
    others = [add_segmentation(scene, Image(array, AFFINE), specs, name=name) for name in ("first", "second")]
    made.view.show(result)
    choose_reference(made, others[0])
    finish(made)
    scene.RemoveNode(others[0])
    finish(made)
    made.view.refresh()
    assert made.parameters.node(REFERENCE) is None
    assert child(made, "referenceSelector").currentNode() is None
    assert status(made) == "Compared with first."


@pytest.mark.parametrize("how", ["removed", "painted"])
def test_surfaces_of_segments_that_change_meanwhile_are_given_up(made, result, how):
    inside = result.GetSegmentation()
    made.view.show(result)
    click(made, "show3dButton")
    made.app.processEvents()
    if how == "removed":
        inside.RemoveSegment("Segment_2")
    else:
        inside.GetSegment("Segment_1").GetRepresentation("Binary labelmap").Modified()
    finish(made)
    assert not inside.ContainsRepresentation("Closed surface")
    assert "no longer so" in status(made)
    click(made, "show3dButton")
    finish(made)
    assert inside.ContainsRepresentation("Closed surface")


def test_numbers_go_when_the_segments_change(made, result):
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    result.GetSegmentation().RemoveSegment("Segment_1")
    assert child(made, "statistics").isHidden()
    assert rows(made) == []
    assert "no longer so" in status(made)


def test_numbers_lie_where_the_segments_were_and_come_back_without_being_measured_again(made, result):
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    places = ("segmentsTable", "statisticsTable", "statistics")
    assert [child(made, name).isHidden() for name in places] == [True, False, False]
    before = rows(made)
    child(made, "statisticsTable").item(0, 1).setText("untouched")
    click(made, "measureButton")
    assert [child(made, name).isHidden() for name in places] == [False, True, True]
    assert child(made, "measureButton").text == "S&tatistics"
    click(made, "measureButton")
    assert [child(made, name).isHidden() for name in places] == [True, False, False]
    assert rows(made)[1:] == before[1:]
    assert child(made, "statisticsTable").item(0, 1).text() == "untouched"
    result.GetSegmentation().RemoveSegment("Segment_1")
    assert [child(made, name).isHidden() for name in places] == [False, True, True]


def test_a_segment_that_is_renamed_keeps_its_numbers(made, result, tmp_path):
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    before = rows(made)[1][1:]
    result.GetSegmentation().GetSegment("Segment_2").SetName("Right lobe")
    assert rows(made)[1] == ["Right lobe", *before]
    made.path = tmp_path / "report.csv"
    click(made, "saveButton")
    assert "\nRight lobe," in made.path.read_text(encoding="utf-8")


def test_the_button_follows_surfaces_that_somebody_else_shows(made, result):
    made.view.show(result)
    result.CreateClosedSurfaceRepresentation()
    assert child(made, "show3dButton").text == "Hide &3D"
    result.GetDisplayNode().SetVisibility3D(False)
    assert child(made, "show3dButton").text == "Show &3D"
    result.GetDisplayNode().SetVisibility3D(True)
    result.RemoveClosedSurfaceRepresentation()
    assert child(made, "show3dButton").text == "Show &3D"


@pytest.mark.usefixtures("slicer_app")
def test_the_file_is_the_one_the_dialog_asked_about(answers, tmp_path):
    from medseg.desktop.panel.sections.measuring import ask_csv_path

    answers.queue(str(tmp_path / "report"), "")
    assert ask_csv_path("found") == tmp_path / "report"
    assert ask_csv_path("found") is None


def test_making_surfaces_is_no_change_of_the_segments(made, result):
    made.view.show(result)
    click(made, "measureButton")
    finish(made)
    click(made, "show3dButton")
    finish(made)
    assert len(rows(made)) == 3


def test_a_bent_volume_is_refused_with_a_sentence(made, result, warp):
    warp(result)
    made.view.show(result)
    click(made, "measureButton")
    assert "non-linear" in status(made)
    assert child(made, "measureButton").text == "S&tatistics"


def test_undo_and_redo_say_what_they_are_about(made, result):
    made.view.show(result)
    assert not child(made, "undoButton").enabled
    assert child(made, "redoButton").isHidden()
    step = UndoStep(result, "note")
    result.GetSegmentation().AddEmptySegment("new", "new")
    step.done()
    made.undo.push(step, "the run")
    made.view.refresh()
    assert "the run" in child(made, "undoButton").toolTip
    assert result.GetName() in child(made, "undoButton").toolTip
    click(made, "undoButton")
    assert made.said == ["found is as it was before the run."]
    assert not child(made, "undoButton").enabled
    click(made, "redoButton")
    assert made.said[1:] == ["found is as it was after the run."]
    assert result.GetSegmentation().GetSegment("new") is not None


def test_every_control_has_a_name_a_tip_and_a_key(made):
    buttons = ("show3dButton", "goButton", "measureButton", "undoButton", "redoButton", "tableNodeButton", "saveButton")
    for name in buttons:
        assert "&" in child(made, name).text
    for name in (*buttons, "segmentationSelector", "segmentsTable", "referenceSelector", "statisticsTable"):
        assert child(made, name).accessibleName
        assert child(made, name).toolTip
    for label, field in (("segmentationLabel", "segmentationSelector"), ("referenceLabel", "referenceSelector")):
        assert child(made, label).buddy() == child(made, field)


def test_steps_take_one_item_a_turn_and_tell_the_end_once(slicer_app):
    heard, ended = [], []
    steps = Steps(iter("ab"), heard.append, lambda: ended.append(True), ended.append)
    assert heard == []
    for expected in (["a"], ["a", "b"], ["a", "b"]):
        slicer_app.processEvents()
        assert heard == expected
    for _ in range(3):
        slicer_app.processEvents()
    assert ended == [True]
    assert not steps.is_running


def test_steps_that_are_stopped_close_their_generator_and_tell_nobody(slicer_app):
    heard, closed = [], []

    def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    steps = Steps(items(), heard.append, lambda: heard.append("end"), heard.append)
    slicer_app.processEvents()
    later = Steps(iter("x"), heard.append, lambda: None, heard.append, instead_of=steps)
    assert closed == [True]
    for _ in range(5):
        slicer_app.processEvents()
    assert heard == [1, "x"]
    assert not later.is_running


def test_steps_may_be_stopped_from_a_step(slicer_app):
    heard = []

    def hear(item):
        heard.append(item)
        steps.stop()

    steps = Steps(iter("abc"), hear, lambda: heard.append("end"), heard.append)
    for _ in range(5):
        slicer_app.processEvents()
    assert heard == ["a"]


def test_steps_stopped_by_what_an_item_sets_off_close_their_generator_too(slicer_app):
    closed = []

    def items():
        try:
            steps.stop()  # as when adding a node makes the panel stop what is under way
            yield 1
        finally:
            closed.append(True)

    held = items()  # so that the collector does not close it in our place
    steps = Steps(held, closed.append, lambda: None, closed.append)
    for _ in range(3):
        slicer_app.processEvents()
    assert closed == [True]


def test_an_error_of_ours_ends_the_steps_with_its_sentence(slicer_app):
    heard, errors = [], []

    def items():
        yield 1
        msg = "the grid is bent"
        raise ImageError(msg)

    steps = Steps(items(), heard.append, lambda: heard.append("end"), errors.append)
    for _ in range(5):
        slicer_app.processEvents()
    assert (heard, errors) == ([1], ["the grid is bent"])
    assert not steps.is_running

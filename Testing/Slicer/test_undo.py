"""Changes of a segmentation are taken back newest first, whole, and never together with somebody's work."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.undo import UndoStack, UndoStep
from medseg.imaging.image import Image
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import CLOSED_SURFACE, add_segmentation, labels_from_segmentation, voxels
from medseg.spec.errors import JobError
from mrml_nodes import volume_node_from_image

NOTE = "Note"


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array, affines[-1]), "scan")


@pytest.fixture
def node(scene, array, specs, affines, volume):
    return add_segmentation(scene, Image(array, affines[-1]), specs, name="organs", reference_node=volume)


@pytest.fixture
def change(node, array, specs, affines):
    """Merge the labels, flipped along an axis, as one step."""

    def make(axis=1, **how):
        step = UndoStep(node, NOTE)
        merge_segments(node, Image(np.flip(array, axis).copy(), affines[-1]), specs, **how)
        node.SetAttribute(NOTE, f"{node.GetAttribute(NOTE) or ''}{axis}")
        step.done()
        return step

    return make


def looks(node, volume):
    """Names, colours, codes and voxels of all segments, in order."""
    inside = node.GetSegmentation()
    segments = [(each, inside.GetSegment(each)) for each in inside.GetSegmentIDs()]
    return [
        (each, it.GetName(), it.GetColor(), it.GetTerminology(), it.GetLabelValue(), mask(node, volume, each))
        for each, it in segments
    ]


def mask(node, volume, segment_id):
    return labels_from_segmentation(node, volume, [segment_id])[0].array.tobytes()


@pytest.mark.parametrize(
    "how",
    [{}, {"overlap": "all"}, {"mode": "replace"}, {"mode": "replace", "overlap": "all"}],
    ids=["add", "overwrite", "replace", "both"],
)
@pytest.mark.parametrize("has_surfaces", [False, True], ids=["voxels", "surfaces"])
def test_undo_and_redo_bring_back_every_voxel_name_colour_and_code(node, volume, change, how, has_surfaces):
    if has_surfaces:
        node.CreateClosedSurfaceRepresentation()
    before = looks(node, volume)
    step = change(**how)
    after = looks(node, volume)
    assert after != before
    for _ in range(2):
        step.toggle()
        assert looks(node, volume) == before
        assert node.GetAttribute(NOTE) is None
        assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE) == has_surfaces
        step.toggle()
        assert looks(node, volume) == after
        assert node.GetAttribute(NOTE) == "1"


def test_surfaces_are_those_of_the_voxels_again(node, change):
    node.CreateClosedSurfaceRepresentation()
    inside = node.GetSegmentation()
    bounds = {
        each: inside.GetSegmentRepresentation(each, CLOSED_SURFACE).GetBounds() for each in inside.GetSegmentIDs()
    }
    step = change(mode="replace")
    step.toggle()
    for segment_id, found in bounds.items():
        assert inside.GetSegmentRepresentation(segment_id, CLOSED_SURFACE).GetBounds() == found


def test_labelmaps_stay_the_objects_they_were_so_that_nothing_is_computed_anew(node, change):
    """Where the voxels of twenty segments were erased one segment after the other, it took seconds."""
    step = change(overlap="all")
    inside = node.GetSegmentation()
    old, new = (inside.GetNthSegment(n).GetRepresentation("Binary labelmap") for n in (0, 3))
    drawn = voxels(new).copy()
    step.toggle()
    assert inside.GetNthSegment(0).GetRepresentation("Binary labelmap") is old
    np.testing.assert_array_equal(voxels(new), drawn)


def by_hand():
    def rename(segment):
        segment.SetName("mine")

    def paint(segment):
        labelmap = segment.GetRepresentation("Binary labelmap")
        voxels(labelmap)[0, 0, 0] = segment.GetLabelValue()
        labelmap.Modified()

    def colour(segment):
        segment.SetColor(0.1, 0.2, 0.3)

    def code(segment):
        segment.SetTag(segment.GetTerminologyEntryTagName(), "mine~SCT^1^a~SCT^2^b~^^~mine~^^~^^")

    def tag(segment):
        segment.SetTag("Segmentation.Status", "completed")

    return [rename, paint, colour, code, tag]


@pytest.mark.parametrize("work", by_hand(), ids=lambda work: work.__name__)
def test_work_by_hand_is_not_taken_back(node, volume, change, work):
    step = change()
    work(node.GetSegmentation().GetNthSegment(1))
    before = looks(node, volume)
    with pytest.raises(JobError, match="organs was changed by hand since"):
        step.toggle()
    assert looks(node, volume) == before
    assert node.GetSegmentation().GetNumberOfSegments() == 6


def test_the_note_of_the_run_is_nobodys_work(node, change):
    step = change()
    node.GetSegmentation().GetNthSegment(3).SetTag(NOTE, "made by a model")
    step.toggle()
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_steps_are_taken_back_one_after_the_other_and_made_again(node, volume, change):
    stack, states = UndoStack(), [looks(node, volume)]
    for number, how in enumerate(({"mode": "replace"}, {"overlap": "all"}, {})):
        stack.push(change(1 + number % 2, **how), f"run {number}")
        states.append(looks(node, volume))
    for _ in range(2):
        for number in (2, 1, 0):
            assert f"run {number}" in stack.to_undo(node).toggle()
            assert looks(node, volume) == states[number]
        assert stack.to_undo(node) is None
        for number in (0, 1, 2):
            assert f"run {number}" in stack.to_redo(node).toggle()
            assert looks(node, volume) == states[number + 1]
        assert stack.to_redo(node) is None


def test_work_by_hand_between_two_runs_stays_when_the_later_is_taken_back(node, volume, change):
    stack = UndoStack()
    stack.push(change(), "first")
    node.GetSegmentation().GetNthSegment(0).SetName("mine")
    before = looks(node, volume)
    stack.push(change(2), "second")
    stack.to_undo(node).toggle()
    assert looks(node, volume) == before
    with pytest.raises(JobError, match="changed by hand since first"):
        stack.to_undo(node).toggle()


def test_a_new_change_ends_what_could_be_made_again(node, change):
    stack = UndoStack()
    stack.push(change(), "first")
    stack.to_undo(node).toggle()
    stack.push(change(2), "second")
    assert stack.to_redo(node) is None
    assert stack.to_undo(node).name == "second"


def test_each_segmentation_has_its_own_steps_and_a_deleted_one_has_none(scene, node, change):
    stack = UndoStack()
    stack.push(change(), "first")
    other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
    step = UndoStep(other, NOTE)
    other.GetSegmentation().AddEmptySegment("new")
    step.done()
    stack.push(step, "second")
    assert stack.to_undo(node).name == "first"
    assert stack.to_undo(other).name == "second"
    scene.RemoveNode(other)
    assert stack.to_undo(other) is None
    assert not step.is_possible
    with pytest.raises(JobError, match="no longer in the scene"):
        step.toggle()
    assert stack.to_undo(node).name == "first"


def test_a_change_that_left_the_old_labelmaps_alone_keeps_no_copy_of_them(change):
    assert change().bytes == 0
    assert change(overlap="all").bytes > 0


def test_the_oldest_steps_go_when_memory_is_full_and_the_newest_never(node, change):
    stack = UndoStack(limit_bytes=1)
    first, second = change(overlap="all"), change(2, overlap="all")
    stack.push(first, "first")
    assert stack.to_undo(node) is first
    stack.push(second, "second")
    assert not first.is_possible
    second.toggle()
    assert stack.to_undo(node) is None


def test_a_new_segmentation_is_emptied_and_filled_again_with_the_surfaces_made_meanwhile(node, volume):
    step = UndoStep(node, NOTE, is_new=True)
    step.done()
    node.SetAttribute(NOTE, "made by a model")
    node.CreateClosedSurfaceRepresentation()
    full = looks(node, volume)
    step.name = "the model"
    for _ in range(2):
        assert step.toggle() == "organs is empty, as it was before the model; Redo brings the segments back."
        assert looks(node, volume) == []
        assert node.GetAttribute(NOTE) is None
        step.toggle()
        assert looks(node, volume) == full
        assert node.GetAttribute(NOTE) == "made by a model"
        assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def test_a_new_segmentation_that_was_worked_on_stays(node, volume):
    step = UndoStep(node, NOTE, is_new=True)
    step.done()
    node.GetSegmentation().GetNthSegment(0).SetName("mine")
    with pytest.raises(JobError, match="changed by hand since"):
        step.toggle()
    assert len(looks(node, volume)) == 3


def test_a_new_segmentation_and_a_later_change_are_taken_back_one_after_the_other(node, volume, change):
    stack = UndoStack()
    first = UndoStep(node, NOTE, is_new=True)
    first.done()
    stack.push(first, "first")
    full = looks(node, volume)
    stack.push(change(mode="replace"), "second")
    stack.to_undo(node).toggle()
    assert looks(node, volume) == full
    stack.to_undo(node).toggle()
    assert looks(node, volume) == []
    stack.to_redo(node).toggle()
    assert looks(node, volume) == full

"""New labels join a segmentation and nothing anybody drew is lost."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.imaging.image import Image
from medseg.mrml.merging import Merge, merge_segments
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import ImageError, JobError
from mrml_nodes import volume_node_from_image


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array, affines[11]), "volume")


@pytest.fixture
def drawn(scene, array, specs, affines, volume):
    """Liver and spleen as somebody drew them, the liver recoloured."""
    mine = np.zeros_like(array)
    mine[0, :3] = 2
    mine[0, 3:5, :, 3:] = 3
    node = add_segmentation(scene, Image(mine, affines[11]), specs[1:], name="mine", reference_node=volume)
    node.GetSegmentation().GetSegment("Segment_2").SetColor(0, 0, 1)
    return node


def mask(node, volume, segment_id):
    return labels_from_segmentation(node, volume, [segment_id])[0].array[0] == 1


def segment_ids(node):
    return list(node.GetSegmentation().GetSegmentIDs())


def test_adding_changes_no_voxel_of_what_was_drawn(drawn, volume, array, specs, affines):
    liver, spleen = mask(drawn, volume, "Segment_2"), mask(drawn, volume, "Segment_3")
    merge = merge_segments(drawn, Image(array, affines[11]), specs)
    assert segment_ids(drawn) == ["Segment_2", "Segment_3", *merge.ids]
    assert len(set(segment_ids(drawn))) == 5
    assert merge.lost == {}
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), liver)
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_3"), spleen)
    for spec, segment_id in zip(specs, merge.ids, strict=True):
        np.testing.assert_array_equal(mask(drawn, volume, segment_id), array[0] == spec.value)


def test_a_name_that_is_taken_gets_a_number(drawn, array, specs, affines):
    merge = merge_segments(drawn, Image(array, affines[11]), specs[1:2])
    merge = merge_segments(drawn, Image(array, affines[11]), specs[1:2])
    assert drawn.GetSegmentation().GetSegment(merge.ids[0]).GetName() == "Liver (3)"


def test_replacing_touches_only_the_listed_segments(drawn, volume, array, specs, affines):
    spleen = mask(drawn, volume, "Segment_3")
    merge = merge_segments(drawn, Image(array, affines[11]), specs[:2], mode="replace")
    assert merge == Merge(ids=("Segment_1", "Segment_2"), lost={})
    assert segment_ids(drawn) == ["Segment_2", "Segment_3", "Segment_1"]
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), array[0] == 2)
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_1"), array[0] == 1)
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_3"), spleen)


def test_a_replaced_segment_keeps_the_users_colour_and_its_place(drawn, array, specs, affines):
    merge_segments(drawn, Image(array, affines[11]), specs[1:2], mode="replace")
    assert drawn.GetSegmentation().GetNthSegmentID(0) == "Segment_2"
    assert drawn.GetSegmentation().GetSegment("Segment_2").GetColor() == (0, 0, 1)


def test_a_segment_with_our_id_and_another_name_is_somebody_elses(drawn, volume, array, specs, affines):
    drawn.GetSegmentation().GetSegment("Segment_2").SetName("Metastasis")
    before = mask(drawn, volume, "Segment_2")
    merge = merge_segments(drawn, Image(array, affines[11]), specs[1:2], mode="replace")
    assert segment_ids(drawn) == ["Segment_2", "Segment_3", *merge.ids]
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), before)


def test_a_replaced_segment_leaves_no_voxels_behind_in_the_labelmap_it_shared(drawn, array, specs, affines):
    old = drawn.GetSegmentation().GetSegment("Segment_2").GetRepresentation("Binary labelmap")
    merge_segments(drawn, Image(array, affines[11]), specs[1:2], mode="replace")
    values = old.GetPointData().GetScalars()
    assert {values.GetValue(n) for n in range(values.GetNumberOfTuples())} == {0, 3}


def test_replacing_twice_is_replacing_once(drawn, volume, array, specs, affines):
    for _ in range(2):
        merge = merge_segments(drawn, Image(array, affines[11]), specs, mode="replace")
    assert merge.ids == ("Segment_1", "Segment_2", "Segment_3")
    assert sorted(segment_ids(drawn)) == list(merge.ids)
    for spec in specs:
        np.testing.assert_array_equal(mask(drawn, volume, f"Segment_{spec.value}"), array[0] == spec.value)


def test_surfaces_follow_the_replaced_labels(drawn, array, specs, affines):
    drawn.CreateClosedSurfaceRepresentation()
    old = np.array(drawn.GetClosedSurfaceInternalRepresentation("Segment_2").GetBounds())
    merge_segments(drawn, Image(array, affines[11]), specs[:2], mode="replace")
    new = np.array(drawn.GetClosedSurfaceInternalRepresentation("Segment_2").GetBounds())
    assert np.abs(new - old).max() > 1
    assert drawn.GetClosedSurfaceInternalRepresentation("Segment_1").GetNumberOfPoints() > 0
    assert drawn.GetClosedSurfaceInternalRepresentation("Segment_3").GetNumberOfPoints() > 0


def test_labels_join_a_segmentation_that_hangs_under_a_transform_where_they_lie(
    drawn, volume, array, specs, affines, hang, motion
):
    hang(drawn, motion)
    merge = merge_segments(drawn, Image(array, affines[11]), specs[:1])
    np.testing.assert_array_equal(mask(drawn, volume, merge.ids[0]), array[0] == 1)
    hang(volume, motion)
    moved = image_from_volume_node(volume).affine
    merge = merge_segments(drawn, Image(array, moved), specs[:1])
    np.testing.assert_array_equal(mask(drawn, volume, merge.ids[0]), array[0] == 1)


def test_a_merged_segmentation_survives_its_file(tmp_path, drawn, volume, array, specs, affines, load_segmentation):
    merge_segments(drawn, Image(array, affines[11]), specs)
    drawn.AddDefaultStorageNode()
    drawn.GetStorageNode().SetFileName(str(tmp_path / "mine.seg.nrrd"))
    assert drawn.GetStorageNode().WriteData(drawn)
    again = load_segmentation(tmp_path / "mine.seg.nrrd")
    assert len(segment_ids(drawn)) == 5
    for segment_id in segment_ids(drawn):
        np.testing.assert_array_equal(mask(again, volume, segment_id), mask(drawn, volume, segment_id))


def test_labels_do_not_coarsen_a_segmentation_made_of_surfaces(drawn, array, specs):
    drawn.CreateClosedSurfaceRepresentation()
    drawn.GetSegmentation().SetSourceRepresentationName("Closed surface")
    with pytest.raises(ImageError, match="made of 'Closed surface'"):
        merge_segments(drawn, Image(array), specs)


def test_a_mode_that_does_not_exist_is_refused(drawn, array, specs):
    with pytest.raises(JobError, match="'add' or 'replace', got 'overwrite'"):
        merge_segments(drawn, Image(array), specs, mode="overwrite")


@pytest.mark.parametrize("bare", [False, True], ids=["no voxels", "no memory either"])
def test_segments_slicer_made_empty_can_be_replaced(scene, volume, array, specs, affines, bare):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation = node.GetSegmentation()
    ids = [segmentation.AddEmptySegment("", spec.name) for spec in specs]
    first, second = (segmentation.GetSegment(each).GetRepresentation("Binary labelmap") for each in ids[:2])
    assert first is second
    if bare:
        first.Initialize()
    merge = merge_segments(node, Image(array, affines[11]), specs, mode="replace")
    assert merge.ids == tuple(ids) == tuple(segment_ids(node))
    for spec, segment_id in zip(specs, ids, strict=True):
        np.testing.assert_array_equal(mask(node, volume, segment_id), array[0] == spec.value)

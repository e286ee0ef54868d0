"""New segments obey the Segment Editor's overlap rule when they join, and say what they took."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.results import show_labels
from medseg.imaging.image import Image
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import CLOSED_SURFACE, add_segmentation, labels_from_segmentation
from mrml_nodes import volume_node_from_image


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array, affines[11]), "volume")


@pytest.fixture
def mine(array):
    """Liver and spleen as somebody drew them: half of everything."""
    labels = np.zeros_like(array)
    labels[0, :, :3] = 2
    labels[0, :, 3:, :2] = 3
    return labels


@pytest.fixture
def drawn(scene, mine, specs, affines, volume):
    return add_segmentation(scene, Image(mine, affines[11]), specs[1:], name="mine", reference_node=volume)


def mask(node, volume, segment_id):
    return labels_from_segmentation(node, volume, [segment_id])[0].array == 1


def test_all_others_give_way_voxel_by_voxel(drawn, volume, array, mine, specs, affines):
    merge = merge_segments(drawn, Image(array, affines[11]), specs[:1], overlap="all")
    np.testing.assert_array_equal(mask(drawn, volume, merge.ids[0]), array == 1)
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), (mine == 2) & (array != 1))
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_3"), (mine == 3) & (array != 1))
    assert merge.lost == {"Segment_2": np.count_nonzero((mine == 2) & (array == 1))}


def test_values_that_nobody_asked_for_take_nothing(drawn, volume, array, mine, specs, affines):
    merge_segments(drawn, Image(array, affines[11]), specs[:1], overlap="all")
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_3"), (mine == 3) & (array != 1))


def test_only_visible_ones_give_way(drawn, volume, array, mine, specs, affines):
    drawn.GetDisplayNode().SetSegmentVisibility("Segment_2", False)
    merge = merge_segments(drawn, Image(array, affines[11]), specs[:1], overlap="visible")
    assert merge.lost == {}
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), mine == 2)
    drawn.GetDisplayNode().SetSegmentVisibility("Segment_2", True)
    assert merge_segments(drawn, Image(array, affines[11]), specs[:1], overlap="visible").lost["Segment_2"] > 0


def test_by_default_nobody_gives_way(drawn, volume, array, mine, specs, affines):
    assert merge_segments(drawn, Image(array, affines[11]), specs).lost == {}
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), mine == 2)


def test_a_labelmap_on_another_grid_gives_way_where_its_voxels_lie(drawn, volume, array, specs, affines):
    finer = affines[11] @ np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] = (affines[11] @ [-0.25, -0.25, -0.25, 1])[:3]
    fine = np.kron(array[0], np.ones((2, 2, 2), dtype=np.uint8))[None]
    before = mask(drawn, volume, "Segment_2")
    merge_segments(drawn, Image(fine, finer), specs[:1], overlap="all")
    after = mask(drawn, volume, "Segment_2")
    np.testing.assert_array_equal(after, before & (array != 1))


def test_surfaces_follow_what_was_taken(drawn, array, specs, affines):
    drawn.CreateClosedSurfaceRepresentation()
    first = drawn.GetClosedSurfaceInternalRepresentation("Segment_2")
    merge_segments(drawn, Image(array, affines[11]), specs[:1], overlap="all")
    assert drawn.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    assert drawn.GetClosedSurfaceInternalRepresentation("Segment_2") is not first


def test_one_step_takes_it_all_back(scene, drawn, volume, array, mine, specs, affines):
    shown = show_labels(scene, Image(array, affines[11]), specs[:1], volume, target=drawn, overlap="all")
    assert shown.overwritten == (("Liver", np.count_nonzero((mine == 2) & (array == 1))),)
    shown.step.toggle()
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), mine == 2)
    assert drawn.GetSegmentation().GetNumberOfSegments() == 2
    shown.step.toggle()
    np.testing.assert_array_equal(mask(drawn, volume, "Segment_2"), (mine == 2) & (array != 1))

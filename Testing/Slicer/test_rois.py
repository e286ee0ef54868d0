"""A ROI snapped to a volume holds whole voxels of it, wherever both lie."""

import itertools

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.bundles.catalogue import find_bundle
from medseg.desktop.console.orders import make_console_orders, make_settings
from medseg.desktop.console.segmenting import segment_folder_in_worker
from medseg.imaging.image import Image
from medseg.mrml.grids import ijk_to_world
from medseg.mrml.rois import fit_roi, roi_bounds, roi_voxels, snap_roi
from medseg.spec.errors import ImageError, JobError
from mrml_nodes import volume_node_from_image


@pytest.fixture
def roi(scene):
    def make(centre, size):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
        node.SetCenter(*centre)
        node.SetSize(*size)
        return node

    return make


def in_voxels(roi_node, volume_node):
    """Lowest and highest corner of a ROI, in voxels of a volume."""
    matrix = roi_node.GetObjectToWorldMatrix()
    to_world = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    half = np.array(roi_node.GetSize()) / 2
    corners = np.array([[*(half * signs), 1] for signs in itertools.product((-1, 1), repeat=3)])
    spots = (corners @ np.linalg.solve(ijk_to_world(volume_node), to_world).T)[:, :3]
    return spots.min(axis=0), spots.max(axis=0)


def test_the_bounds_are_those_of_the_world(roi, hang):
    node = roi((1, 2, 3), (4, 6, 8))
    np.testing.assert_allclose(roi_bounds(node), (-1, 3, -1, 5, -1, 7))
    hang(node, [[1, 0, 0, 10], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(roi_bounds(node), (9, 13, -1, 5, -1, 7))


def test_a_region_without_a_size_is_said(scene):
    with pytest.raises(JobError, match="'region' has no size"):
        roi_bounds(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region"))


def test_snapping_grows_to_whole_voxels(scene, array, roi):
    volume = volume_node_from_image(scene, Image(array), "volume")
    node = roi((2.2, 2.0, 2.0), (1.0, 2.0, 1.0))  # 1.7..2.7, 1..3, 1.5..2.5
    bounds = snap_roi(node, volume)
    np.testing.assert_allclose(bounds, (1.5, 3.5, 0.5, 3.5, 1.5, 2.5), atol=1e-6)
    np.testing.assert_allclose(snap_roi(node, volume), bounds, atol=1e-6)


@pytest.mark.parametrize("number", [0, 7, 21, 40, 48, 49])
def test_on_every_grid_and_under_a_transform_its_edges_lie_between_voxels(
    scene, array, affines, roi, hang, motion, number
):
    volume = volume_node_from_image(scene, Image(array, affines[number]), "volume")
    hang(volume, motion)
    centre = (ijk_to_world(volume) @ [3.1, 2.6, 2.2, 1])[:3]
    node = roi(centre, (2.0, 2.5, 3.0))
    hang(node, np.eye(4))
    before_low, before_high = in_voxels(node, volume)
    snap_roi(node, volume)
    low, high = in_voxels(node, volume)
    np.testing.assert_allclose(low + 0.5, np.round(low + 0.5), atol=1e-4)
    np.testing.assert_allclose(high + 0.5, np.round(high + 0.5), atol=1e-4)
    shape = np.array(array.shape[1:])
    assert (low <= np.maximum(before_low, -0.5) + 2e-3).all()
    assert (high >= np.minimum(before_high, shape - 0.5) - 2e-3).all()
    assert (low >= -0.5 - 1e-6).all()
    assert (high <= shape - 0.5 + 1e-6).all()


def test_fitting_holds_the_volume_and_nothing_more(scene, array, affines, roi):
    for affine in affines[::9]:
        volume = volume_node_from_image(scene, Image(array, affine), "volume")
        node = roi((0, 0, 0), (1, 1, 1))
        fit_roi(node, volume)
        low, high = in_voxels(node, volume)
        np.testing.assert_allclose(low, -0.5, atol=1e-4)
        np.testing.assert_allclose(high, np.array(array.shape[1:]) - 0.5, atol=1e-4)


def test_the_box_is_right_handed_also_where_the_volume_is_not(scene, array, affines, roi):
    volume = volume_node_from_image(scene, Image(array, affines[-1]), "volume")
    node = roi((0, 0, 0), (1, 1, 1))
    fit_roi(node, volume)
    matrix = node.GetObjectToWorldMatrix()
    assert matrix.Determinant() == pytest.approx(1.0)


def test_a_region_beside_the_volume_is_refused_and_left_alone(scene, array, roi):
    volume = volume_node_from_image(scene, Image(array), "volume")
    node = roi((500, 0, 0), (5, 5, 5))
    before = roi_bounds(node)
    with pytest.raises(JobError, match="lies beside the volume 'volume'"):
        snap_roi(node, volume)
    assert roi_bounds(node) == before


def test_an_empty_volume_and_a_bent_one_are_refused(scene, array, roi, warp):
    with pytest.raises(ImageError, match="has no voxels"):
        fit_roi(roi((0, 0, 0), (1, 1, 1)), scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing"))
    volume = volume_node_from_image(scene, Image(array), "volume")
    warp(volume)
    with pytest.raises(ImageError, match="non-linear transform"):
        snap_roi(roi((2, 2, 2), (1, 1, 1)), volume)


@pytest.mark.parametrize("number", [0, 7, 21, 40, 48, 49])
def test_the_voxels_of_a_region_are_those_it_is_snapped_to_and_touch_it(
    scene, array, affines, roi, hang, motion, number
):
    volume = volume_node_from_image(scene, Image(array, affines[number]), "volume")
    hang(volume, motion)
    node = roi((ijk_to_world(volume) @ [3.1, 2.6, 2.2, 1])[:3], (2.0, 2.5, 3.0))
    drawn_low, drawn_high = in_voxels(node, volume)
    box = np.array(roi_voxels(node, volume))
    np.testing.assert_array_equal(box[::2], np.maximum(np.floor(drawn_low + 0.5), 0))
    np.testing.assert_array_equal(box[1::2], np.minimum(np.ceil(drawn_high + 0.5), array.shape[1:]))
    snap_roi(node, volume)
    low, high = in_voxels(node, volume)
    np.testing.assert_allclose([low + 0.5, high + 0.5], [box[::2], box[1::2]], atol=1e-4)
    assert roi_voxels(node, volume) == tuple(box)


def test_a_region_beside_a_volume_has_no_voxels_of_it(scene, array, roi):
    volume = volume_node_from_image(scene, Image(array), "volume")
    with pytest.raises(JobError, match="lies beside the volume"):
        roi_voxels(roi((-50, 0, 0), (2, 2, 2)), volume)


def test_a_call_with_a_region_node_asks_for_its_voxels(scene, array, affines, roi):
    volume = volume_node_from_image(scene, Image(array, affines[-2]), "volume")
    node = roi((ijk_to_world(volume) @ [3.1, 2.6, 2.2, 1])[:3], (2.0, 2.5, 3.0))
    settings, region = make_settings(roi=node)
    (order,) = make_console_orders([volume], find_bundle("hippocampus-ultralight3d"), None, settings, region).orders
    assert (order.roi_voxels, order.roi_ras_mm) == (roi_voxels(node, volume), None)
    settings, region = make_settings(roi=roi_bounds(node))
    (order,) = make_console_orders([volume], find_bundle("hippocampus-ultralight3d"), None, settings, region).orders
    assert (order.roi_voxels, order.roi_ras_mm) == (None, roi_bounds(node))


def test_a_call_takes_one_region_and_a_folder_no_node(roi, tmp_path):
    node = roi((0, 0, 0), (2, 2, 2))
    with pytest.raises(JobError, match="an option is unknown"):
        make_settings(roi=node, roi_bounds=(0, 1, 0, 1, 0, 1))
    with pytest.raises(JobError, match="got a ROI node; give its bounds"):
        segment_folder_in_worker(tmp_path, "hippocampus-ultralight3d", tmp_path, *make_settings(roi=node))

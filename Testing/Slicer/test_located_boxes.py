"""Where a model was located is kept with its result and shown as regions, wherever volume and result are moved."""

from itertools import product

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.located_boxes import boxes_below, newest_boxes, shown_boxes, toggle_boxes
from medseg.desktop.scene.results import PROVENANCE, write_provenance
from medseg.mrml.grids import affine_from_matrix, nodes_of
from medseg.spec.events import Finished
from medseg.spec.job import Job
from medseg.spec.locating import PlacedBox

ANGLE = np.deg2rad(20)
BOX = PlacedBox(
    name="left hippocampus",
    centre_mm=(-25.0, -20.0, -9.0),
    size_mm=(30.0, 50.0, 40.0),
    axis_i=(1.0, 0.0, 0.0),
    axis_j=(0.0, float(np.cos(ANGLE)), float(np.sin(ANGLE))),
    axis_k=(0.0, float(-np.sin(ANGLE)), float(np.cos(ANGLE))),
)
MOVED = np.array([[0.0, -1, 0, 10], [1, 0, 0, -4], [0, 0, 1, 7], [0, 0, 0, 1]])
SIGNS = np.array(list(product((-0.5, 0.5), repeat=3)))


def corners(box):
    axes = np.transpose([box.axis_i, box.axis_j, box.axis_k])
    return np.array(box.centre_mm) + (SIGNS * box.size_mm) @ axes.T


def corners_of(roi):
    to_world = affine_from_matrix(roi.GetObjectToWorldMatrix())
    local = np.hstack([SIGNS * np.array(roi.GetSize()), np.ones((8, 1))])
    return (local @ to_world.T)[:, :3]


@pytest.fixture
def result(scene, tmp_path):
    """A segmentation with a run written on it, whose boxes are given."""

    class Bundle:
        folder, manifest = tmp_path, type("Manifest", (), {"model_id": "m", "version": "1", "composition": None})
        weights_path = tmp_path / "weights"

    Bundle.weights_path.write_bytes(b"weights")

    def make(boxes, node=None):
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "result") if node is None else node
        job, finished = Job(inputs=("a",), model="m", output="o"), Finished(("o",), "cpu", 1.0)
        write_provenance(node, Bundle, job, finished, {}, boxes=boxes)
        return node

    return make


def test_boxes_are_shown_where_they_were_and_cannot_be_moved(scene, result):
    node = result([])
    node = result(boxes_below(node, [BOX], np.eye(4)), node)
    (roi,) = toggle_boxes(scene, node)
    assert roi.GetName() == "left hippocampus"
    np.testing.assert_allclose(corners_of(roi), corners(BOX), atol=1e-9)
    assert roi.GetLocked()
    assert not roi.GetDisplayNode().GetHandlesInteractive()
    assert shown_boxes(scene, node) == [roi]


def test_asking_again_takes_them_away_and_leaves_other_regions(scene, result):
    node = result([])
    node = result(boxes_below(node, [BOX], np.eye(4)), node)
    own = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "mine")
    toggle_boxes(scene, node)
    assert toggle_boxes(scene, node) == []
    assert nodes_of(scene, "vtkMRMLMarkupsROINode") == [own]


def test_they_follow_a_volume_that_was_moved_while_the_network_was_at_work(scene, result, hang):
    node = result([])
    hang(node, MOVED)  # as the volume was hung
    node = result(boxes_below(node, [BOX], MOVED), node)
    (roi,) = toggle_boxes(scene, node)
    moved = np.hstack([corners(BOX), np.ones((8, 1))]) @ MOVED.T
    np.testing.assert_allclose(corners_of(roi), moved[:, :3], atol=1e-9)


def test_a_result_that_was_not_located_has_none(scene, result):
    node = result([])
    assert newest_boxes(node) == ()
    assert toggle_boxes(scene, node) == []
    assert newest_boxes(None) == ()


def test_boxes_of_the_newest_run_alone_are_shown(result):
    node = result([])
    node = result(boxes_below(node, [BOX, BOX], np.eye(4)), node)
    assert len(newest_boxes(node)) == 2
    assert newest_boxes(result([], node)) == ()


@pytest.mark.parametrize("text", ["[1]", '[{"boxes": 3}]', '[{"boxes": [{"name": "left"}]}]', "nothing"])
def test_what_somebody_else_wrote_there_is_passed_over(result, text):
    node = result([])
    node.SetAttribute(PROVENANCE, text)
    assert newest_boxes(node) == ()

"""Pictures and radiographs, which are one voxel thick, in the scene: segmented, shown and measured."""

import sys

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

import slicer

from Integration.tiny import write_tiny_slice_bundle
from medseg.bundles.catalogue import find_bundle
from medseg.desktop.scene.cases import segmentable, volume_sets
from medseg.imaging.geometry import voxel_corners
from medseg.imaging.image import Image
from medseg.io.stored import LPS_TO_RAS
from medseg.jobs.run.segment import segment_case
from medseg.mrml.flat_view import show_flat
from medseg.mrml.grids import affine_from_matrix, ijk_to_world
from medseg.mrml.measured_grid import spacing_is_known
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.spec.errors import ImageError
from medseg.spec.events import Warned
from medseg.spec.job import Options
from mrml_nodes import volume_node_from_image

GREY = np.random.default_rng(3).integers(0, 255, (30, 40)).astype(np.uint8)  # rows, columns


@pytest.fixture(autouse=True)
def flat_model(tmp_path, monkeypatch):
    write_tiny_slice_bundle(tmp_path / "models", model_id="flat")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    return find_bundle("flat")


def load(scene, path):
    """What Slicer makes of a picture; its module on PyPI has no reader for PNG."""
    pixels = np.asarray(Picture.open(path))
    channels = np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), (2, 1, 0), (0, 1, 2))
    node = volume_node_from_image(scene, Image(channels[..., None], LPS_TO_RAS), path.stem)
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    return node


@pytest.fixture
def segment(door):
    return lambda volume, **more: door.MedSegAttentionLogic().segment(
        volume, "flat", device="cpu", python=sys.executable, **more
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_that_slicer_has_loaded_gives_what_its_file_gives(scene, segment, flat_model, tmp_path, mode):
    path = tmp_path / "chest.png"
    Picture.fromarray(GREY).convert(mode).save(path)
    volume = load(scene, path)
    assert volume.IsA("vtkMRMLVectorVolumeNode") == (mode != "L")
    assert not spacing_is_known(volume)
    truth = segment_case([path], flat_model, Options(device="cpu")).labels
    labels, _ = labels_from_segmentation(segment(volume), volume)
    assert truth.array.any()
    np.testing.assert_array_equal(labels.array, truth.array)
    np.testing.assert_allclose(labels.affine, truth.affine)


def test_a_coloured_picture_is_refused_by_name(scene, segment, tmp_path):
    coloured = np.stack([GREY, GREY, 255 - GREY], axis=-1)
    Picture.fromarray(coloured).save(tmp_path / "photo.png")
    with pytest.raises(ImageError, match=r"volume '.*': a pixel is one number, and its colours differ by up to"):
        segment(load(scene, tmp_path / "photo.png"))


def test_pictures_in_colours_are_offered_beside_scans_and_nothing_else_that_has_several_numbers(scene, flat_model):
    flat, thick = (5, 4, 1), (5, 4, 3)
    nodes = [
        volume_node_from_image(scene, Image(np.zeros((count, *each), np.uint8)), name)
        for count, each, name in (
            (1, thick, "scan"),
            (3, flat, "picture"),
            (3, thick, "field"),
            (6, flat, "x"),
        )
    ]
    assert segmentable(scene, flat_model) == nodes[:2]
    assert volume_sets(scene, flat_model) == [[node] for node in nodes[:2]]


def test_the_modality_that_slicer_knows_reaches_the_check_of_the_worker(scene, segment):
    volume = volume_node_from_image(scene, Image(GREY.T[None, :, :, None], np.diag([0.5, 0.5, 1, 1])), "film")
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = tree.GetItemByDataNode(volume) or tree.CreateItem(tree.GetSceneItemID(), volume)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    assert name == "DICOM.Modality"
    tree.SetItemAttribute(item, name, "CR")
    heard = []
    segment(volume, onEvent=heard.append)
    warnings = [event.message for event in heard if isinstance(event, Warned)]
    assert any(each.startswith("the image is CR, and flat was made for MR") for each in warnings)


def test_a_radiograph_of_which_slicer_found_no_size_has_none(scene):
    volume = volume_node_from_image(scene, Image(GREY.T[None, :, :, None]), "film")
    assert spacing_is_known(volume)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert not spacing_is_known(volume)
    volume.SetSpacing(0.2, 0.2, 1)
    assert spacing_is_known(volume)


@pytest.fixture
def views(scene):
    """The three slice views of Slicer's layout, 300 x 200 pixels."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    found = {}
    for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
        view.SetLayoutName(name)
        view.SetOrientation(orientation)
        view.SetDimensions(300, 200, 1)
        composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        composite.SetLayoutName(name)
        found[name] = view, composite
    return found


@pytest.mark.parametrize(("axis", "name"), [(0, "Yellow"), (1, "Green"), (2, "Red")])
def test_a_slice_is_shown_whole_and_centred_in_the_view_of_its_plane(scene, views, motion, hang, axis, name):
    shape = [40, 30, 50]
    shape[axis] = 1
    grid = Image(np.zeros((1, *shape), np.uint8), np.diag([0.5, 0.8, 1.5, 1.0]))
    volume = volume_node_from_image(scene, grid, "film")
    moved = np.eye(4)
    moved[:3, 3] = motion[:3, 3]
    hang(volume, moved)
    view = show_flat(scene, volume)
    assert view is views[name][0]
    assert [each for each, (_, composite) in views.items() if composite.GetBackgroundVolumeID()] == [name]
    to_pixels = np.linalg.inv(affine_from_matrix(view.GetXYToRAS()))
    seen = (voxel_corners(tuple(shape)) @ (to_pixels @ ijk_to_world(volume)).T)[:, :2]
    assert seen.min() >= -0.51
    assert (seen.max(axis=0) <= (300.51, 200.51)).all()
    np.testing.assert_allclose((seen.min(axis=0) + seen.max(axis=0)) / 2, (150, 100), atol=1)
    assert np.isclose(np.ptp(seen, axis=0), (300, 200), atol=1).any()  # one side fills the view
    middle = (ijk_to_world(volume) @ [*((n - 1) / 2 for n in shape), 1])[axis]
    assert view.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(middle)


def test_the_views_stay_where_they_are_for_a_volume(scene, views):
    volume = volume_node_from_image(scene, Image(np.zeros((1, 5, 4, 3), np.uint8)), "scan")
    before = [view.GetMTime() for view, _ in views.values()]
    assert show_flat(scene, volume) is None
    assert [view.GetMTime() for view, _ in views.values()] == before


def test_after_a_run_the_red_view_shows_the_slice(scene, views, segment):
    volume = volume_node_from_image(scene, Image(GREY.T[None, :, :, None], np.diag([0.5, 0.5, 1, 1])), "film")
    segment(volume)
    red, composite = views["Red"]
    assert composite.GetBackgroundVolumeID() == volume.GetID()
    assert red.GetFieldOfView()[0] == pytest.approx(0.5 * 30 * 300 / 200)


def test_the_panel_offers_a_picture_in_colours_and_runs_it(slicer_scene, monkeypatch, spin, tmp_path):
    monkeypatch.setattr("medseg.desktop.worker.job_process.find_python", lambda: sys.executable)
    from medseg.desktop.panel.panel import Panel
    from medseg.desktop.worker.qt_process import QtJobProcess

    Picture.fromarray(GREY).convert("RGB").save(tmp_path / "chest.png")
    volume = load(slicer_scene, tmp_path / "chest.png")
    panel = Panel(slicer_scene, QtJobProcess)
    panel.parameters.change(model="flat", device="cpu")
    panel.widget.show()
    (selector,) = panel.choices.inputs.selectors
    assert selector.currentNode() is volume
    panel.names.apply.click()
    spin(lambda: panel.queue.rows and panel.queue.rows[-1].has_ended, seconds=120)
    node = panel.queue.rows[-1].result.node
    assert node is not None, panel.queue.rows[-1].details
    labels, _ = labels_from_segmentation(node, volume)
    assert labels.array.any()
    panel.close()

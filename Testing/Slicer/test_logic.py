"""The module without its panel: a volume node in, a segmentation node out, computed by a real child process."""

import sys
import unittest
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

import medseg
from medseg.bundles.write import write_bundle
from medseg.desktop.results import read_provenance
from medseg.imaging.image import Image
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.volumes import image_from_volume_node, volume_node_from_image
from medseg.networks import build_network
from medseg.spec.errors import ImageError, JobError, ModelNotFound
from medseg.spec.events import Finished, Progress
from medseg.spec.manifest import ChannelSpec, IntensityRule, ModelManifest


@pytest.fixture
def model(tmp_path, monkeypatch, specs):
    """A tiny model with random weights, under which no label wins everywhere."""
    import torch

    arguments = {"in_channels": 1, "label_count": 4, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]}
    manifest = ModelManifest(
        model_id="tiny",
        title="Tiny",
        version="1.0.0",
        description="Random weights",
        network="ultralight_unet",
        arguments=arguments,
        labels=specs,
        channels=(ChannelSpec(name="C0", modality="MR"),),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(16, 16, 16),
        anatomy="anything",
        intended_use="tests",
        licence="Apache-2.0",
        authors="nobody",
        training_data="none",
    )
    torch.manual_seed(0)
    network = build_network(manifest.network, **arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    write_bundle(tmp_path / "models" / "tiny", manifest, network, licence_text="Apache License 2.0\n")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    return "tiny"


@pytest.fixture
def volume(scene, affines):
    voxels = np.random.default_rng(0).normal(size=(1, 18, 17, 16)).astype(np.float32)
    return volume_node_from_image(scene, Image(voxels, affines[-1]), "brain")


def in_memory(volume, model):
    """The same segmentation without MRML, files or a child process."""
    from medseg.bundles.catalogue import find_bundle
    from medseg.jobs.segment import segment_images
    from medseg.spec.job import Options

    return segment_images([image_from_volume_node(volume)], find_bundle(model), Options(device="cpu")).labels


def test_the_console_gives_the_segments_the_library_gives_on_the_volumes_grid(door, volume, model, hang, motion):
    hang(volume, motion)
    truth = in_memory(volume, model)
    heard = []
    node = door.MedSegAttentionLogic().segment(volume, model, device="cpu", python=sys.executable, onEvent=heard.append)
    labels, names = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, truth.array)
    assert truth.array.any()
    np.testing.assert_allclose(labels.affine, truth.affine, atol=1e-9)
    assert names == ("Left hippocampus", "Liver", "Spleen")
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert any(isinstance(event, Progress) for event in heard)
    assert isinstance(heard[-1], Finished)
    (entry,) = read_provenance(node)
    assert (entry["model"], entry["options"]["device"]) == ("tiny", "cpu")
    assert entry["versions"] == {"medseg": medseg.__version__}
    assert len(entry["weights_sha256"]) == 64


def test_segmenting_into_an_existing_segmentation_keeps_what_is_there(door, volume, model):
    logic = door.MedSegAttentionLogic()
    first = logic.segment(volume, model, device="cpu", python=sys.executable)
    again = logic.segment(volume, model, first, device="cpu", python=sys.executable)
    assert again is first
    assert first.GetSegmentation().GetNumberOfSegments() == 6
    logic.segment(volume, model, first, mode="replace", device="cpu", python=sys.executable)
    assert first.GetSegmentation().GetNumberOfSegments() == 6
    assert len(read_provenance(first)) == 3


def test_an_unknown_model_is_refused_before_anything_starts(door, volume):
    with pytest.raises(ModelNotFound, match="no model is called 'liver'"):
        door.MedSegAttentionLogic().segment(volume, "liver")


def test_a_python_that_is_not_there_is_named(door, volume, model):
    with pytest.raises(JobError, match="/nowhere/python cannot be started"):
        door.MedSegAttentionLogic().segment(volume, model, python="/nowhere/python")


def test_the_models_are_listed_by_id_and_title(door, model):
    assert door.MedSegAttentionLogic().models()[model] == "Tiny"


def test_a_target_made_of_surfaces_is_refused_before_anything_starts(door, volume, model, scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().AddEmptySegment("a", "a")
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    with pytest.raises(ImageError, match="Closed surface"):
        door.MedSegAttentionLogic().segment(volume, model, node, python="/nowhere/python")


def test_the_panel_hears_that_the_scene_is_closed_before_and_after(door, scene, monkeypatch):
    import slicer

    heard = []

    class Panel:
        widget = None

        def __init__(self, *_arguments, **_named):
            self.leave_scene = lambda: heard.append(("leave", scene.GetFirstNodeByName("brain") is not None))
            self.set_scene = lambda _scene: heard.append(("enter", scene.GetFirstNodeByName("brain") is not None))
            self.close = lambda: heard.append("close")

    monkeypatch.setitem(sys.modules, "medseg.desktop.panel", SimpleNamespace(Panel=Panel))
    monkeypatch.setitem(sys.modules, "medseg.desktop.qt_process", SimpleNamespace(QtJobProcess=None))
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    base = door.ScriptedLoadableModuleWidget
    monkeypatch.setattr(base, "__init__", lambda *_: None)
    monkeypatch.setattr(base, "setup", lambda _: None, raising=False)
    widget = door.MedSegAttentionWidget()
    widget.layout = SimpleNamespace(addWidget=lambda _: None)
    widget.setup()
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "brain")
    scene.Clear(False)
    assert heard == [("leave", True), ("enter", False)]
    widget.cleanup()
    scene.Clear(False)
    assert heard[2:] == ["close"]


def test_the_test_inside_slicer_passes_with_the_model_that_ships(door, load, scene, monkeypatch):
    """Slicer's test class is played by unittest's, its loader by the scene's own."""
    import slicer

    played = type("Played", (door.MedSegAttentionTest, unittest.TestCase), {})()
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    monkeypatch.setattr(slicer.util, "loadVolume", load)
    monkeypatch.setattr("medseg.desktop.job_process.find_python", lambda: sys.executable)
    played.test_every_model_can_be_listed()
    played.test_a_volume_becomes_segments_on_its_own_grid()


def test_the_test_inside_slicer_says_which_sample_it_lacks(door, monkeypatch, tmp_path):
    played = type("Played", (door.MedSegAttentionTest, unittest.TestCase), {})()
    monkeypatch.setattr(door, "SAMPLE", tmp_path / "head.nii.gz")
    with pytest.raises(AssertionError, match=r"head\.nii\.gz; run it from a source tree"):
        played.test_a_volume_becomes_segments_on_its_own_grid()

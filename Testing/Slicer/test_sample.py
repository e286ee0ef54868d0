"""A first start takes three clicks: the module, Try it, Apply; Slicer's Sample Data module offers the sample too."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from fake_process import FakeProcess
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.mrml.volumes import image_from_volume_node
from mrml_nodes import volume_node_from_image


@pytest.fixture
def panel(slicer_scene):
    from medseg.desktop.panel.panel import Panel

    made = Panel(slicer_scene, FakeProcess().made_for)
    made.widget.show()
    yield made
    made.close()


def backgrounds(scene):
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return {scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID() for n in range(count)}


def test_one_click_leaves_nothing_to_do_but_apply(panel, slicer_scene, sample_scan):
    panel.parameters.change(model="brain-deep-any-contrast")
    button = panel.names.tryIt
    assert button.visible
    button.click()
    (volume,) = panel.parameters.inputs(1)
    assert panel.parameters.settings.model == "hippocampus-ultralight3d"
    np.testing.assert_array_equal(image_from_volume_node(volume).array, read_image(sample_scan).image.array)
    assert volume.GetStorageNode() is None, "saving the scene never writes into the extension's folder"
    assert backgrounds(slicer_scene) == {volume.GetID()}
    assert not button.visible
    assert panel.names.apply.enabled
    assert "Press Apply" in panel.names.status.text
    panel.names.apply.click()
    assert len(panel.queue.rows) == 1


def test_it_is_offered_only_while_there_is_nothing_to_segment(panel, slicer_scene, array, spin):
    node = volume_node_from_image(slicer_scene, Image(array.astype(np.float32)), "brain T1")
    spin(lambda: not panel.names.tryIt.visible)
    slicer_scene.RemoveNode(node)
    spin(lambda: panel.names.tryIt.visible)


def test_a_sample_that_cannot_be_read_is_said(panel, monkeypatch, tmp_path):
    monkeypatch.setattr("medseg.desktop.scene.sample.sample_path", lambda: tmp_path / "no.nii.gz")
    panel.names.tryIt.click()
    assert panel.names.status.text.startswith("The sample could not be loaded: ")


@pytest.fixture
def sources(monkeypatch):
    """What is registered with Slicer's Sample Data module, whose arguments these are (Slicer 5.10 to 5.13)."""
    found = []

    def register(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
    ):
        assert customDownloader is None  # only its button would call that, downloadSample in the console would not
        found.append(SimpleNamespace(**locals()))

    module = ModuleType("SampleData")
    module.SampleDataLogic = SimpleNamespace(registerCustomSampleDataSource=register)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return found


def test_sample_data_of_slicer_offers_a_file_that_lies_here(slicer_app, door, sources, sample_scan):
    door.MedSegAttention(SimpleNamespace())
    assert sources == []
    slicer_app.start()
    (source,) = sources
    assert source.uris.startswith("file:///")
    with urlopen(source.uris) as opened:  # noqa: S310
        assert opened.read() == sample_scan.read_bytes()
    assert source.fileNames == sample_scan.name
    assert source.nodeNames == "Colin27 left T1"
    assert Path(source.thumbnailFileName).is_file()


def test_without_sample_data_slicer_starts_too(slicer_app, door, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    door.MedSegAttention(SimpleNamespace())
    slicer_app.start()

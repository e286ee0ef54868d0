"""A result is whole again after its scene or its .seg.nrrd file was closed and opened."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer
import slicerio

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.results import read_provenance, show_labels, write_provenance
from medseg.imaging.image import Image
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.views import CLOSED_SURFACE, surface_steps
from medseg.spec.events import Finished
from medseg.spec.job import Job
from mrb_scenes import opened_scene, save
from mrml_nodes import read_segment_provenance, volume_node_from_image

VERSIONS = {"Slicer": "5.13", "MedSegAttention": "0.1.0"}


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "model.safetensors").write_bytes(b"weights")
    return Bundle(tmp_path / "bundle", SimpleNamespace(model_id="organs | fine", version="2", composition=None))


@pytest.fixture
def show(bundle, array, specs, affines):
    """Put a result into a scene, as a run does."""

    def place(scene):
        volume = volume_node_from_image(scene, Image(array, affines[-2]), "CT chest")
        shown = show_labels(scene, Image(array, affines[-2]), specs, volume)
        job, finished = Job(inputs=("a",), model="organs", output="o"), Finished(("o",), "cuda:0", 12.345)
        write_provenance(shown.node, bundle, job, finished, VERSIONS, shown.segment_ids)
        return shown.node, volume

    return place


def test_an_mrb_file_keeps_voxels_names_codes_grid_surfaces_and_what_made_it(show, array, specs, tmp_path):
    with opened_scene(tmp_path / "first") as scene:
        node, _volume = show(scene)
        list(surface_steps(node))
        before = read_provenance(node)
        save(scene, tmp_path / "scene.mrb")
    with opened_scene(tmp_path / "second") as scene:
        assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
        node, volume = (scene.GetFirstNodeByName(name) for name in ("CT chest segmentation", "CT chest"))
        labels, names = labels_from_segmentation(node, volume)
        np.testing.assert_array_equal(labels.array, array)
        assert names == tuple(spec.name for spec in specs)
        assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume
        assert read_provenance(node) == before
        assert before[0]["versions"] == VERSIONS
        assert before[0]["device"] == "cuda:0"
        segment = node.GetSegmentation().GetSegment("Segment_1")
        assert "SCT^5366008^Hippocampus" in segment.GetTerminology()
        assert node.CreateClosedSurfaceRepresentation()
        assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def test_a_seg_nrrd_file_says_of_each_segment_which_model_made_it(show, specs, tmp_path):
    path = tmp_path / "result.seg.nrrd"
    with opened_scene(tmp_path / "first") as scene:
        node, _volume = show(scene)
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(path))
        assert node.GetStorageNode().WriteData(node)
    with opened_scene(tmp_path / "second") as scene:
        logic = slicer.vtkSlicerSegmentationsModuleLogic()
        logic.SetMRMLScene(scene)
        again = logic.LoadSegmentationFromFile(str(path), True, "again")
        for spec in specs:
            segment = again.GetSegmentation().GetSegment(f"Segment_{spec.value}")
            made = read_segment_provenance(segment)
            assert made["model"] == "organs   fine"  # the file's own mark between tags is taken out
            # sha256sum of the seven letters
            assert made["weights_sha256"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
            assert spec.type.value in segment.GetTerminology()
        logic.SetMRMLScene(None)


def test_slicerio_reads_names_codes_and_voxels_of_a_result(show, array, specs, tmp_path):
    path = tmp_path / "result.seg.nrrd"
    with opened_scene(tmp_path / "first") as scene:
        node, _volume = show(scene)
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(path))
        assert node.GetStorageNode().WriteData(node)
    found = slicerio.read_segmentation(str(path))
    assert [each["name"] for each in found["segments"]] == [spec.name for spec in specs]
    for each, spec in zip(found["segments"], specs, strict=True):
        assert each["terminology"]["category"] == [spec.category.scheme, spec.category.value, spec.category.meaning]
        assert each["terminology"]["type"] == [spec.type.scheme, spec.type.value, spec.type.meaning]
    counts = [np.count_nonzero(found["voxels"] == each["labelValue"]) for each in found["segments"]]
    assert counts == [np.count_nonzero(array == spec.value) for spec in specs]

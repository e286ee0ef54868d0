"""A 2D network runs from the module like any other: a volume node in, a segmentation node out."""

import sys

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

from Integration.tiny import write_tiny_slice_bundle
from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.jobs.run.segment import segment_case
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.job import Options
from mrml_nodes import volume_node_from_image


def test_a_volume_node_is_segmented_slice_by_slice(door, scene, affines, tmp_path, monkeypatch):
    write_tiny_slice_bundle(tmp_path / "models", model_id="flat", axis=1, context=1, fit="resize")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    voxels = np.random.default_rng(0).normal(size=(1, 18, 17, 16)).astype(np.float32)
    volume = volume_node_from_image(scene, Image(voxels, affines[-1]), "brain")
    node = door.MedSegAttentionLogic().segment(volume, "flat", device="cpu", python=sys.executable)
    labels, names = labels_from_segmentation(node, volume)
    truth = segment_case([image_from_volume_node(volume)], find_bundle("flat"), Options(device="cpu")).labels
    assert names == ("front", "back")
    assert truth.array.any()
    np.testing.assert_array_equal(labels.array, truth.array)

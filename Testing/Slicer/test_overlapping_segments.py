"""Segments that overlap reach the scene whole: as a file, as a new segmentation and beside segments that were there."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.importing import import_result
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.worker.job_folder import write_request
from medseg.imaging.image import Image
from medseg.io.read import read_layers
from medseg.io.write import write_image, write_segmentation
from medseg.mrml.cuts import cut_segment
from medseg.mrml.probabilities import linked_probabilities
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.events import Finished
from medseg.spec.job import Options
from medseg.spec.manifest import OverlapRule
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


@pytest.fixture
def masks():
    """Whole, core and active: each inside the one before; by the value of the segment."""
    whole, core, active = np.zeros((3, 8, 7, 6), dtype=bool)
    whole[1:7, 1:6, 1:5], core[2:6, 2:5, 2:4], active[3, 3, 2:4] = True, True, True
    return {1: whole, 2: core, 3: active}


@pytest.fixture
def layers(masks):
    return np.stack([mask.astype(np.uint8) * value for value, mask in masks.items()])


@pytest.fixture
def volume(scene, layers, affines):
    return volume_node_from_image(scene, Image(layers[:1].astype(np.int16), affines[-1]), "MR")


def assert_whole(node, segment_ids, masks, affine):
    """Every segment has its voxels, at their points of the patient."""
    for segment_id, mask in zip(segment_ids, masks.values(), strict=True):
        cut = cut_segment(node, segment_id)
        found = {tuple(np.round((cut.affine @ [*at, 1])[:3], 6)) for at in np.argwhere(cut.mask)}
        assert found == {tuple(np.round((affine @ [*at, 1])[:3], 6)) for at in np.argwhere(mask)}


def test_slicer_opens_a_file_of_ours_with_a_layer_a_segment(tmp_path, load_segmentation, layers, masks, specs, affines):
    write_segmentation(tmp_path / "organs.seg.nrrd", Image(layers, affines[-1]), specs)
    node = load_segmentation(tmp_path / "organs.seg.nrrd")
    assert node.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 3
    assert_whole(node, [f"Segment_{spec.value}" for spec in specs], masks, affines[-1])
    assert [node.GetSegmentation().GetNthSegment(n).GetName() for n in range(3)] == [spec.name for spec in specs]


def test_what_slicer_saves_of_them_is_read_back_layer_by_layer(tmp_path, scene, layers, masks, specs, affines):
    node = add_segmentation(scene, Image(layers, affines[-1]), specs, name="organs")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(tmp_path / "theirs.seg.nrrd"))
    assert node.GetStorageNode().WriteData(node)
    again = read_layers(tmp_path / "theirs.seg.nrrd")
    assert [int((again.array == value).sum()) for value in masks] == [int(mask.sum()) for mask in masks.values()]


@pytest.mark.parametrize("joins", [False, True])
def test_a_finished_job_brings_every_segment_whole_with_its_own_probability(
    tmp_path, scene, volume, layers, masks, specs, joins
):
    manifest = small_manifest(model_id="m", labels=specs, overlapping=OverlapRule(order=(1, 2, 3)))
    image = image_from_volume_node(volume)
    request = write_request(tmp_path, [image], manifest, Options(), probabilities=True)
    write_segmentation(tmp_path / request.job.output, Image(layers, image.affine), specs)
    scores = np.random.default_rng(1).random(layers.shape, dtype=np.float32)
    write_image(tmp_path / str(request.job.probabilities), Image(scores, image.affine))
    hand = replace(specs[0], name="by hand")
    target = add_segmentation(scene, Image(layers[:1], image.affine), [hand], name="mine", reference_node=volume)
    run = PendingRun(
        request=request,
        bundle=Bundle(tmp_path, manifest),
        image=image,
        volume_id=volume.GetID(),
        target_id=target.GetID() if joins else None,
        mode="add",
        settings=PanelSettings(probabilities=True, entropy=True),
    )
    result = import_result(scene, run, Finished((request.job.output,), "cpu", 1.0), {})
    assert result.message is None
    assert (result.node is target) == joins
    assert_whole(result.node, result.segment_ids, masks, image.affine)
    assert_whole(target, ["Segment_1"], {1: masks[1]}, image.affine)
    found = linked_probabilities(scene, result.node)
    for segment_id, own in zip(result.segment_ids, scores, strict=True):
        np.testing.assert_array_equal(image_from_volume_node(found[segment_id]).array[0], own)
    doubt = image_from_volume_node(result.volumes[-1]).array[0]
    bits = -scores * np.log2(scores) - (1 - scores) * np.log2(1 - scores)
    np.testing.assert_allclose(doubt, bits.max(axis=0), atol=1e-5)

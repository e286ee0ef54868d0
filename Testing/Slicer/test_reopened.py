"""Results of a scene that was saved and opened are looked at, measured and thresholded as on the day they were made."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.results import show_labels, write_provenance
from medseg.imaging.image import Image
from medseg.mrml.probabilities import link_entropy, link_probability
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation
from medseg.spec.events import Finished
from medseg.spec.job import Job
from mrb_scenes import opened_scene, save
from mrml_nodes import add_entropy_volume, add_probability_volumes, volume_node_from_image

AFFINE = np.diag([2.0, 2.0, 2.5, 1.0])


@pytest.fixture
def probabilities():
    parts = np.random.default_rng(5).random((3, 7, 6, 5), dtype=np.float32)
    return parts / parts.sum(axis=0)


@pytest.fixture
def saved(tmp_path, probabilities, specs):
    """An .mrb file with a segmentation drawn by hand and, after it in the alphabet or not, a result."""
    bundle = SimpleNamespace(
        manifest=SimpleNamespace(model_id="m", version="1", composition=None),
        weights_path=tmp_path / "model.safetensors",
    )
    with opened_scene(tmp_path / "first") as scene:
        volume = volume_node_from_image(scene, Image(np.zeros((1, 7, 6, 5), np.float32), AFFINE), "CT")
        image = Image(probabilities, AFFINE)
        labels = Image(probabilities.argmax(axis=0).astype(np.uint8)[None], AFFINE)
        shown = show_labels(scene, labels, specs[:2], volume)
        job, finished = Job(inputs=("a",), model="m", output="o"), Finished(("o",), "cpu", 1.0)
        write_provenance(shown.node, bundle, job, finished, {}, shown.segment_ids)
        for each, segment_id in zip(
            add_probability_volumes(scene, image, specs[:2], volume), shown.segment_ids, strict=True
        ):
            link_probability(each, shown.node, segment_id)
        link_entropy(add_entropy_volume(scene, image, volume), shown.node)
        add_segmentation(scene, labels, specs[:1], name="by hand", reference_node=volume)
        save(scene, tmp_path / "scene.mrb")
    return tmp_path / "scene.mrb"


class Silent:
    """A process that is never asked for anything."""

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize("is_open", [False, True], ids=["before the module", "with the module open"])
@pytest.mark.usefixtures("slicer_app")
def test_the_result_is_shown_and_its_threshold_works(saved, spin, tmp_path, probabilities, is_open):
    from medseg.desktop.panel.panel import Panel

    with opened_scene(tmp_path / "second") as scene:
        if not is_open:
            assert scene.ReadFromMRB(str(saved), True)
        panel = Panel(scene, lambda *_: Silent(), find_models=dict)
        if is_open:
            assert not panel.results.widget.visible or panel.results.node is None
            assert scene.ReadFromMRB(str(saved), True)
            panel.set_scene(scene)
        node, volume = scene.GetFirstNodeByName("CT segmentation"), scene.GetFirstNodeByName("CT")
        panel.widget.show()
        assert panel.results.node is node
        assert panel.results.widget.visible
        box, slider, after, entropy, status = (
            panel.widget.findChild("QWidget", name)
            for name in ("segmentBox", "thresholdSlider", "after", "entropyButton", "statusLabel")
        )
        assert not after.isHidden()
        assert not entropy.isHidden()
        assert (box.count, status.text) == (2, "")
        slider.setValue(0.25)
        found = probabilities[1] >= np.float32(0.25)
        spin(lambda: np.array_equal(_mask(node, volume), found))
        panel.leave_scene()
        panel.close()


def _mask(node, volume):
    return labels_from_segmentation(node, volume, ["Segment_1"])[0].array[0] == 1

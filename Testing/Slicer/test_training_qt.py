"""A training behind Qt's loop, with the real process: called from the console and not waited for."""

import sys

import numpy as np
import psutil
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

from Integration.tiny import MODEL, write_tiny_bundle
from medseg.bundles.catalogue import catalogue
from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.errors import Cancelled, JobError, MissingDependency, ModelNotFound
from medseg.spec.events import Learning
from mrml_nodes import volume_node_from_image

# The contract is two seconds; a computer that does other things too may take longer, and is no reason to fail.
LOADED_SECONDS = 8
PATIENCE_SECONDS = 240


@pytest.fixture(autouse=True)
def _own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_tiny_bundle(tmp_path / "models")


@pytest.fixture
def cases(scene, specs):
    made = []
    for number in range(2):
        labels = np.zeros((1, 20, 20, 20), np.uint8)
        labels[0, 4 + number : 12, 5:14, 6:15] = 1
        voxels = labels * 3 + np.random.default_rng(number).normal(scale=0.2, size=labels.shape)
        volume = volume_node_from_image(scene, Image(voxels.astype(np.float32), np.eye(4)), f"head {number}")
        segmentation = add_segmentation(scene, Image(labels, np.eye(4)), specs[:1], name="seg", reference_node=volume)
        made.append((volume, segmentation))
    return made


class Call:
    """What a call that is not waited for said."""

    def __init__(self, door, cases, **options):
        self.ends, self.events = [], []
        self.run = door.MedSegAttentionLogic().train(
            cases,
            "My head",
            startFrom=MODEL,
            device="cpu",
            wait=False,
            python=sys.executable,
            onFinished=lambda *end: self.ends.append(end),
            onEvent=self.events.append,
            **options,
        )

    @property
    def is_learning(self):
        return any(isinstance(event, Learning) and event.step for event in self.events)


def trainers():
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if child.is_running() and "training_worker" in " ".join(child.cmdline())]


def test_a_training_is_cancelled_in_moments_done_when_called_again_and_leaves_no_process(qt_app, door, cases, spin):
    assert qt_app
    call = Call(door, cases, steps=10000)
    spin(lambda: call.is_learning or call.ends, seconds=PATIENCE_SECONDS)
    assert not call.ends
    assert trainers()
    call.run.cancel()
    assert spin(lambda: call.ends, seconds=PATIENCE_SECONDS) < LOADED_SECONDS
    ((model, error),) = call.ends
    assert model is None
    assert isinstance(error, Cancelled)
    assert list(catalogue()).count("my-head") == 0

    again = Call(door, cases, steps=10000, minutes=0.05)
    spin(lambda: again.ends, seconds=PATIENCE_SECONDS)
    assert again.ends == [("my-head", None)]
    assert again.run.result == "my-head"
    assert [label.name for label in catalogue()["my-head"].manifest.labels] == ["Left hippocampus"]
    under_way = sys.modules["medseg.desktop.console.waiting"]._under_way
    spin(lambda: not under_way and not trainers(), seconds=20)


def test_what_a_call_gets_wrong_is_said_at_once(door, cases, tmp_path, monkeypatch):
    logic = door.MedSegAttentionLogic()
    with pytest.raises(JobError, match="at least 2 volumes"):
        logic.train(cases[:1], "x", startFrom=MODEL)
    with pytest.raises(JobError, match="a case is \\(volume node, segmentation node\\)"):
        logic.train([cases[0], (cases[1][0], None)], "x", startFrom=MODEL)
    with pytest.raises(JobError, match="a case is \\(volume node, segmentation node\\), both in the scene, got"):
        logic.train([("head 0", "seg"), cases[1]], "x", startFrom=MODEL)
    with pytest.raises(ModelNotFound, match="no model is called 'liver'"):
        logic.train(cases, "x", startFrom="liver")
    with pytest.raises(JobError, match="begins with a model or with a network"):
        logic.train(cases, "x")
    with pytest.raises(JobError, match="no such file or folder"):
        logic.train(tmp_path / "nothing", "x", network="ultralight_unet")
    (tmp_path / "requirements-training.txt").write_text("nowhere-to-be-found>=1\n")
    monkeypatch.setattr(door, "REQUIREMENTS", tmp_path / "requirements.txt")
    with pytest.raises(
        MissingDependency, match=r"lacks nowhere-to-be-found>=1; call ensurePackages\(forTraining=True\)"
    ):
        logic.train(cases, "x", startFrom=MODEL)

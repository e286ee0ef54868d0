"""From nodes in a scene to a model one can press Apply on: the real queue, the real worker, real files, real MRML."""

import os
import signal
import sys
import time
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")
if find_spec("lightning_fabric") is None:
    pytest.skip("training needs Lightning Fabric", allow_module_level=True)

from Integration.tiny import MODEL, write_tiny_bundle
from medseg.bundles.catalogue import catalogue
from medseg.desktop.console.order_call import OrderCall
from medseg.desktop.console.segmenting import BlockingProcess
from medseg.desktop.console.training import order_from_call
from medseg.desktop.queue.training_run import prepare_training
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.jobs.run.run_job import run_job
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import OutputExists
from medseg.spec.events import Failed, Finished, Learning, Noted, Stopped, Using
from medseg.spec.job import Job, Options
from medseg.spec.manifest import Code, LabelSpec
from medseg.spec.training_job import TrainingJob
from mrml_nodes import volume_node_from_image
from taken import taken

NAMED = LabelSpec(
    value=1,
    name="bright ball",
    color=(10, 200, 30),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
    type_modifier=Code("SCT", "7771000", "Left"),
)

SIZE = 24


@pytest.fixture(autouse=True)
def _own_models(tmp_path, monkeypatch):
    """New models go into a folder of the test's own."""
    folder = tmp_path / "models"
    write_tiny_bundle(folder)
    monkeypatch.setenv("MEDSEG_MODELS", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def scene():
    import slicer

    whole = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(whole)
    yield whole
    whole.Clear(True)


@pytest.fixture
def cases(scene):
    """Three oblique volumes with a bright ball, each with its segmentation."""
    return [add_case(scene, number) for number in range(3)]


def add_case(scene, number):
    rng = np.random.default_rng(number)
    centre = rng.uniform(9, 15, size=3)
    inside = np.linalg.norm(np.indices((SIZE,) * 3) - centre[:, None, None, None], axis=0) < 6
    affine = np.diag([-1.0, 2.0, 1.5, 1.0])
    affine[:3, 3] = 5, -7, 9
    voxels = (inside * 4 + rng.normal(scale=0.3, size=inside.shape)).astype(np.float32)
    volume = volume_node_from_image(scene, Image(voxels[None], affine), f"head {number}")
    labels = Image(inside.astype(np.uint8)[None], affine)
    return volume, add_segmentation(scene, labels, [NAMED], name="seg", reference_node=volume)


def ordered(cases, name="My ball", steps=12):
    return order_from_call(cases, name, start=MODEL, network=None, minutes=5, steps=steps, device="cpu")


def test_a_model_is_fine_tuned_on_the_scene_found_in_the_catalogue_and_run(cases, tmp_path):
    heard, counts = [], cases[0][0].GetScene().GetNumberOfNodes()
    scene, order = ordered(cases)
    make = partial(BlockingProcess, python=sys.executable)
    call = OrderCall(scene, order, order.output.name, make, on_event=heard.append)
    assert call.wait() == "my-ball"
    assert scene.GetNumberOfNodes() == counts
    bundle = catalogue()["my-ball"]
    assert bundle.manifest.title == "My ball"
    assert bundle.manifest.labels == (NAMED,)
    assert "Started from tiny" in bundle.manifest.training_data
    assert not list(bundle.folder.parent.glob(".training/*"))
    learning = [event for event in heard if isinstance(event, Learning)]
    assert learning[-1].step == 12
    assert learning[-1].best_dice is not None
    assert sum(isinstance(event, Using) for event in heard) == 1
    assert isinstance(heard[-1], Finished)
    assert any("2 cases train, 1 are held out" in event.message for event in heard if isinstance(event, Noted))

    scan = tmp_path / "scan.nii"
    write_image(scan, image_from_volume_node(cases[0][0]))
    job = Job(inputs=(str(scan),), model="my-ball", output=str(tmp_path / "out.nii"), options=Options(device="cpu"))
    result = run_job(job)
    assert result.labels.shape == (SIZE,) * 3
    assert [spec.name for spec in result.specs] == ["bright ball"]
    with pytest.raises(OutputExists, match="There is a model my-ball already"):
        ordered(cases)


def test_a_killed_training_leaves_no_model_and_the_same_call_goes_on(cases, tmp_path):
    models = tmp_path / "models"
    scene, order = ordered(cases, steps=400)

    def job(name):
        (tmp_path / name).mkdir()
        return taken(prepare_training(scene, order, tmp_path / name)).request.job

    with WorkerProcess(sys.executable) as worker:
        events = worker.run(job("first"))
        for event in events:
            assert not isinstance(event, Failed), event
            if (
                isinstance(event, Learning)
                and event.step
                and list(models.glob(".training/*/*/*-training/checkpoint.pt"))
            ):
                break
        os.kill(worker.pid, signal.SIGKILL)
    assert "my-ball" not in catalogue()
    notes = []
    with WorkerProcess(sys.executable) as worker:
        for event in worker.run(job("second")):
            if isinstance(event, Noted):
                notes.append(event.message)
            if isinstance(event, Learning) and event.step:
                worker.cancel()
    assert event == Stopped()
    assert any(note.startswith("going on from step") for note in notes), notes
    assert "my-ball" not in catalogue()


def test_the_process_of_a_training_ends_with_it_and_a_segmentation_gets_one_of_its_own(cases, tmp_path):
    scene, order = ordered(cases, steps=1)
    scan = tmp_path / "scan.nii"
    write_image(scan, image_from_volume_node(cases[0][0]))
    segment = Job(inputs=(str(scan),), model=MODEL, output=str(tmp_path / "out.nii"), options=Options(device="cpu"))
    (tmp_path / "cases").mkdir()
    train = taken(prepare_training(scene, order, tmp_path / "cases")).request.job
    assert isinstance(train, TrainingJob)
    with WorkerProcess(sys.executable) as worker:
        assert isinstance(list(worker.run(segment))[-1], Finished)
        warm = worker.pid
        assert isinstance(list(worker.run(train))[-1], Finished)
        end = time.monotonic() + 30
        while worker.pid is not None and time.monotonic() < end:
            time.sleep(0.05)
        assert worker.pid is None
        again = list(worker.run(Job(**{**vars(segment), "output": str(tmp_path / "again.nii")})))
        assert isinstance(again[-1], Finished)
        assert worker.pid not in (None, warm)

"""A 2D network in a real bundle goes through every door: command, Python call, worker."""

import os

import nibabel
import numpy as np
import pytest

import medseg
from Integration.tiny import write_tiny_slice_bundle
from medseg.bundles.catalogue import find_bundle
from medseg.cli.main import run
from medseg.imaging.geometry import same_grid
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import Finished, Progress
from medseg.spec.job import Job, Options
from planned import forecast

MODELS = ("flat", "flat-resized", "flat-neighbours")


@pytest.fixture(autouse=True)
def slice_models(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("slice-models")
    write_tiny_slice_bundle(folder, model_id="flat")
    write_tiny_slice_bundle(folder, model_id="flat-resized", fit="resize")
    write_tiny_slice_bundle(folder, model_id="flat-neighbours", axis=0, context=1, channels=2)
    monkeypatch.setenv("MEDSEG_MODELS", str(folder))
    return folder


@pytest.fixture
def inputs(tmp_path, volume, scan_file):
    """A file for each channel of every model."""
    second = tmp_path / "second.nii.gz"
    write_image(second, Image(volume.array[:, ::-1].copy(), volume.affine))
    return {"flat": [scan_file], "flat-resized": [scan_file], "flat-neighbours": [scan_file, second]}


@pytest.mark.parametrize("model", MODELS)
def test_the_command_segments_with_a_2d_network(tmp_path, inputs, volume, model, capsys):
    labels, probabilities, picture = (tmp_path / name for name in ("out.seg.nrrd", "p.nii.gz", "look.png"))
    code = run([
        "segment", *map(str, inputs[model]), "--model", model, "--output", str(labels), "--device", "cpu",
        "--probabilities", str(probabilities), "--preview", str(picture), "--window-batch", "4",
        "--engine", "torch",
    ])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    found = read_labels(labels)
    assert same_grid(found, volume)
    scores = np.asarray(nibabel.load(probabilities).dataobj)
    assert scores.shape == (*volume.shape, 3)
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-4)
    np.testing.assert_array_equal(found.array[0], scores.argmax(axis=-1))
    assert len(np.unique(found.array)) > 1
    assert picture.stat().st_size > 0


@pytest.mark.parametrize("model", MODELS)
def test_the_python_call_and_the_forecast_agree_on_the_slices(inputs, volume, model):
    told = []
    result = medseg.segment(inputs[model], model=model, on_event=told.append, device="cpu")
    expected = forecast(volume.shape, volume.affine, find_bundle(model).manifest, Options())
    assert result.window_count == expected.windows * expected.passes
    done = [event for event in told if isinstance(event, Progress) and event.stage == "windows"]
    assert (done[-1].done, done[-1].total) == (expected.windows, expected.windows)


def test_the_worker_runs_2d_and_3d_networks_after_each_other(tmp_path, inputs, slice_models, models_folder):
    folders = os.pathsep.join([str(slice_models), str(models_folder)])
    environment = worker_environment({**os.environ, "MEDSEG_MODELS": folders, "OMP_NUM_THREADS": "1"})
    written = {}
    with WorkerProcess(environment=environment) as worker:
        for model in ("flat-neighbours", "tiny", "flat-resized"):
            output = tmp_path / f"{model}.nii.gz"
            files = tuple(str(path) for path in inputs.get(model, inputs["flat"]))
            events = list(worker.run(Job(inputs=files, model=model, output=str(output))))
            assert isinstance(events[-1], Finished), events[-1]
            written[model] = read_labels(output).array
    for model in MODELS[1:]:
        here = medseg.segment(inputs[model], model=model, device="cpu")
        np.testing.assert_array_equal(written[model], here.labels.array)

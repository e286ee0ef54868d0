"""A DICOM series of several acquisitions through every door: refused with the same words, or the one chosen."""

import csv

import numpy as np
import pytest

pytest.importorskip("torch", reason="the doors need torch")
pytest.importorskip("pydicom", reason="the files are written by pydicom")

import medseg
from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.io.read import read_image
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.errors import MedSegError
from medseg.spec.events import Failed, Warned
from medseg.spec.job import Job, Options
from scanner_files import dataset, save

CPU = Options(device="cpu")


def brick(seed):
    return np.random.default_rng(seed).integers(0, 500, (18, 17, 8)).astype(np.int16)


def write(folder, voxels, number=1, places=range(8), series="one"):
    for k in places:
        tags = {"ImagePositionPatient": (0, 0, 2.0 * k), "InstanceNumber": k + 1, "AcquisitionNumber": number}
        save(dataset(voxels[:, :, k], series=series, **tags), folder / f"{number}_{k}.dcm")


@pytest.fixture
def two(tmp_path):
    folder = tmp_path / "two"
    write(folder, brick(1))
    write(folder, brick(2) + 5000, number=2)
    return folder


@pytest.fixture(scope="module")
def worker(models_folder):
    with WorkerProcess(environment=worker_environment() | {"MEDSEG_MODELS": str(models_folder)}) as started:
        yield started


def test_every_door_refuses_a_series_of_two_acquisitions_with_the_same_words(two, worker, tmp_path, capsys):
    output = tmp_path / "out.nii.gz"
    with pytest.raises(MedSegError) as refused:
        read_image(two)
    words = str(refused.value)
    assert (
        "0: Acquisition Number 1 (8 slices); 1: Acquisition Number 2 (8 slices); choose one with --frame 0..1" in words
    )
    assert run(["segment", str(two), "--model", MODEL, "--output", str(output), "--device", "cpu"]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    with pytest.raises(MedSegError) as refused:
        medseg.segment(two, model=MODEL, output=output, device="cpu")
    assert words in str(refused.value)
    event = list(worker.run(Job(inputs=(str(two),), model=MODEL, output=str(output), options=CPU)))[-1]
    assert isinstance(event, Failed)
    assert not event.is_bug
    assert words in event.message
    assert not output.exists()


def test_every_door_reads_the_acquisition_that_was_chosen(two, worker, tmp_path, capsys):
    means = {}
    result = medseg.segment(two, model=MODEL, frame=1, device="cpu")
    np.testing.assert_array_equal(result.image.array[0], brick(2) + 5000)
    expected = result.labels.array
    for door in ("command", "worker"):
        output = tmp_path / f"{door}.nii.gz"
        if door == "command":
            call = ["segment", str(two), "--model", MODEL, "--output", str(output), "--frame", "1", "--device", "cpu"]
            assert run(call) == 0
            capsys.readouterr()
        else:
            list(worker.run(Job(inputs=(str(two),), model=MODEL, output=str(output), options=CPU, frame=1)))
        means[door] = read_image(output).image.array
        np.testing.assert_array_equal(means[door], expected)


def test_what_a_batch_read_of_half_a_series_is_in_its_report(tmp_path, capsys):
    for number, places in enumerate((range(4), range(4, 8))):
        write(tmp_path / "in" / f"DIR{number}", brick(1), places=places)
    call = ["batch", str(tmp_path / "in"), "--model", MODEL, "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert run(call) == 0
    capsys.readouterr()
    with (tmp_path / "out" / "report.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["case"]: row["warnings"] for row in csv.DictReader(stream)}
    assert len(rows) == 1 or all("the series goes on in" in warnings for warnings in rows.values())


def test_warnings_of_reading_reach_the_worker_and_python(tmp_path, worker):
    write(tmp_path / "in", brick(1))
    (tmp_path / "in" / "1_7.dcm").write_bytes(b"")
    said = "1 file could not be read, so that slices may be missing: 1_7.dcm (empty (0 bytes))"
    job = Job(inputs=(str(tmp_path / "in"),), model=MODEL, output=str(tmp_path / "o.nrrd"), options=CPU)
    assert any(said in event.message for event in worker.run(job) if isinstance(event, Warned))
    with pytest.warns(UserWarning, match="1_7"):
        medseg.read(tmp_path / "in")

"""``medseg batch`` from end to end: a folder with a broken file, DICOM, a list, kill -9 and Ctrl-C in the middle."""

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

pytest.importorskip("torch", reason="the command needs torch")

from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.read import read_image, read_labels
from medseg.io.write import write_image
from medseg.jobs.run import loaded_networks
from medseg.jobs.run.run_job import run_job
from medseg.spec.job import Job

PATIENCE_SECONDS = 90


@pytest.fixture
def scans(tmp_path, volume):
    """Three scans; the one in the middle is not whole."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number, name in enumerate(("a", "c")):
        write_image(folder / f"{name}.nii.gz", Image(volume.array + number, volume.affine))
    whole = (folder / "a.nii.gz").read_bytes()
    (folder / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def table(folder):
    with (folder / "report.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def batch(source, out, *more):
    return run(["batch", str(source), "--model", MODEL, "--output", str(out), "--device", "cpu", *map(str, more)])


def test_a_broken_case_in_the_middle_is_a_line_of_the_report_and_exit_code_1(scans, tmp_path, capsys, monkeypatch):
    loads = []
    load = loaded_networks.load_network
    monkeypatch.setattr(loaded_networks, "load_network", lambda bundle: (loads.append(bundle), load(bundle))[1])
    out = tmp_path / "new" / "out"
    assert batch(scans, out) == 1
    told = capsys.readouterr()
    assert "2 of 3 done, 1 failed" in told.out
    assert [line.split(":")[0] for line in told.err.splitlines()] == ["1/3 a", "2/3 b", "3/3 c"]
    assert len(loads) == 1  # for all cases
    rows = table(out)
    assert [row["status"] for row in rows.values()] == ["done", "failed", "done"]
    assert "b.nii.gz" in rows["b"]["error"]
    assert sorted(path.name for path in out.iterdir()) == ["a.seg.nrrd", "c.seg.nrrd", "report.csv", "report.html"]
    for name in "ac":
        alone = tmp_path / f"{name}.nrrd"
        result = run_job(Job(inputs=(str(scans / f"{name}.nii.gz"),), model=MODEL, output=str(alone)))
        np.testing.assert_array_equal(read_labels(out / f"{name}.seg.nrrd").array, result.labels.array)
        for measured in result.measures:
            assert float(rows[name][f"{measured.name} ml"]) == pytest.approx(measured.volume_ml, rel=1e-4)


def test_when_the_broken_file_is_mended_only_it_is_done(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert batch(scans, out) == 1
    before = {name: (out / f"{name}.seg.nrrd").stat().st_mtime_ns for name in "ac"}
    (scans / "b.nii.gz").write_bytes((scans / "a.nii.gz").read_bytes())
    capsys.readouterr()
    assert batch(scans, out) == 0
    told = capsys.readouterr()
    assert "3 of 3 done, 2 of them before" in told.out
    assert [line.split(":")[0] for line in told.err.splitlines()] == ["2/3 b"]
    assert {name: (out / f"{name}.seg.nrrd").stat().st_mtime_ns for name in "ac"} == before


def test_every_dicom_series_of_a_tree_is_a_case(tmp_path):
    tree = tmp_path / "tree"
    rng = np.random.default_rng(0)
    for number, place in enumerate(("ann/head", "ben")):
        write_dicom(tree / place, f"1.2.3.{number}", rng.integers(0, 500, (9, 14, 12)).astype(np.int16))
    out = tmp_path / "out"
    assert batch(tree, out, "--suffix", ".nii.gz") == 0
    assert sorted(table(out)) == ["ann_head", "ben"]
    for name, place in (("ann_head", "ann/head"), ("ben", "ben")):
        image = read_image(tree / place).image
        labels = read_labels(out / f"{name}.nii.gz")
        assert labels.shape == image.shape == (12, 14, 9)
        np.testing.assert_allclose(labels.affine, image.affine, atol=1e-4)


def write_dicom(folder, uid, array):
    """One file a slice, 2 mm apart."""
    folder.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, plane in enumerate(array):
        piece = sitk.GetImageFromArray(plane[None])
        tags = {
            "0008|0060": "MR",
            "0020|000e": uid,
            "0020|0013": str(number + 1),
            "0008|0018": f"{uid}.{number}",
            "0020|0032": f"0\\0\\{2 * number}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            piece.SetMetaData(tag, value)
        piece.SetOrigin([0.0, 0.0, 2.0 * number])
        writer.SetFileName(str(folder / f"{number:03d}.dcm"))
        writer.Execute(piece)


@pytest.mark.usefixtures("scans")
def test_a_list_with_a_file_that_is_not_there_does_the_others(tmp_path, capsys):
    listed = tmp_path / "list.csv"
    listed.write_text(
        "case;image;output\nfirst;scans/a.nii.gz;\ngone;scans/z.nii.gz;\nlast;scans/c.nii.gz;x/last.mha\n"
    )
    out = tmp_path / "out"
    assert batch(listed, out) == 1
    assert "2 of 3 done" in capsys.readouterr().out
    rows = table(out)
    assert [row["status"] for row in rows.values()] == ["done", "failed", "done"]
    assert "there is no such file" in rows["gone"]["error"]
    assert (out / "first.seg.nrrd").is_file()
    assert read_labels(out / "x" / "last.mha").shape == (22, 19, 9)


def test_the_channels_of_a_case_are_found_by_their_numbers(tmp_path, volume):
    scans = tmp_path / "scans"
    scans.mkdir()
    for case in ("x", "y"):
        for channel in (0, 1):
            write_image(scans / f"{case}_{channel:04d}.nii.gz", Image(volume.array * (channel + 1), volume.affine))
    (scans / "y_0000.nii.gz").unlink()
    out = tmp_path / "out"
    assert run(["batch", str(scans), "-m", "tiny-two-channels", "-o", str(out)]) == 1
    rows = table(out)
    assert [row["status"] for row in rows.values()] == ["done", "failed"]
    assert "got 0001; complete the case" in rows["y"]["error"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--device", "abacus"], "abacus"),
        (["--suffix", ".txt"], "outputs end in"),
        (["--model", "tinny"], "tinny"),
        (["--output", "scans"], "folder of the images"),
        (["--roi", "1,2"], "six numbers"),
    ],
)
def test_a_wrong_choice_is_refused_before_any_case(scans, tmp_path, monkeypatch, capsys, more, words):
    monkeypatch.chdir(tmp_path)
    assert run(["batch", "scans", "--model", MODEL, "--output", "out", *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()
    assert len(list(scans.iterdir())) == 3


@pytest.fixture
def slow(tmp_path, volume):
    """A small scan, and then one with thousands of windows."""
    folder = tmp_path / "scans"
    folder.mkdir()
    write_image(folder / "a.nii.gz", volume)
    noise = np.random.default_rng(0).normal(size=(1, 48, 48, 48)).astype(np.float32)
    write_image(folder / "b.nrrd", Image(noise, np.diag([2.0, 2.0, 2.0, 1.0])))
    return folder


def in_the_middle(checkout, source, out):
    """Start a batch and wait until its second case runs."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "medseg", "batch", source, "-m", MODEL, "-o", out, "--overlap", "0.9"]
    process = subprocess.Popen([*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE_SECONDS
    while not (out / "report.csv").exists() or table(out).get("b", {}).get("status") != "running":
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.3)
    return process


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_after_kill_9_the_same_command_goes_on_and_nothing_half_written_is_left(checkout, slow, tmp_path):
    out = tmp_path / "out"
    with in_the_middle(checkout, slow, out) as process:
        process.kill()
    first = (out / "a.seg.nrrd").stat().st_mtime_ns
    assert not (out / "b.seg.nrrd").exists()
    write_image(slow / "b.nrrd", read_image(slow / "a.nii.gz").image, overwrite=True)  # quicker
    assert run(["batch", str(slow), "-m", MODEL, "-o", str(out), "--overlap", "0.9"]) == 0
    assert (out / "a.seg.nrrd").stat().st_mtime_ns == first
    assert [row["status"] for row in table(out).values()] == ["done", "done"]
    assert sorted(path.name for path in out.iterdir()) == ["a.seg.nrrd", "b.seg.nrrd", "report.csv", "report.html"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(checkout, slow, tmp_path):
    out = tmp_path / "out"
    with in_the_middle(checkout, slow, out) as process:
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted: medseg batch was stopped; no half-written file is left; ")
    assert "the same command goes on" in said
    assert said.count("interrupted") == 1
    assert [row["status"] for row in table(out).values()] == ["done", "cancelled"]
    assert sorted(path.name for path in out.iterdir()) == ["a.seg.nrrd", "report.csv", "report.html"]

"""The command among others in a shell: readers that go away, disks that are full, variables that are not set."""

import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest

pytest.importorskip("torch", reason="the command needs torch")

from Integration.tiny import MODEL
from medseg.cli import train
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.read import read_image, read_labels
from medseg.io.write import write_image
from medseg.kernels.engines import openvino_engine

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and limits are others there")
SMALL_BYTES = 20_000


def start(checkout, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "medseg", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **options)


@posix
@pytest.mark.parametrize("arguments", [["models", "terms"], ["networks"], ["--help"], ["models", "nonsense", "--help"]])
def test_a_reader_that_goes_away_is_no_error_and_makes_no_noise(checkout, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with start(checkout, *arguments, stdout=writer) as process:
        os.close(writer)
        said = process.stderr.read().decode()
    wrong = "nonsense" in arguments
    assert process.returncode == (2 if wrong else 0)
    assert ("No such command" in said) if wrong else said == ""


def closed():
    os.close(1)


@posix
def test_a_result_is_whole_where_the_standard_output_is_closed(checkout, scan_file, tmp_path):
    arguments = ["segment", scan_file, "-m", MODEL, "-o", tmp_path / "o.nii.gz", "--device", "cpu", "--engine", "torch"]
    with start(checkout, *arguments, preexec_fn=closed) as process:
        said = process.stderr.read().decode()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert read_labels(tmp_path / "o.nii.gz").shape == read_image(scan_file).image.shape


@posix
def test_a_segmentation_is_finished_for_a_reader_that_goes_away(checkout, scan_file, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["segment", scan_file, "-m", MODEL, "-o", tmp_path / "o.nii.gz", "--device", "cpu", "--engine", "torch"]
    with start(checkout, *arguments, stdout=writer) as process:
        os.close(writer)
        said = process.stderr.read().decode()
    assert process.returncode == 0
    assert "Broken" not in said
    assert (tmp_path / "o.nii.gz").is_file()


def limited():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, SMALL_BYTES))


@posix
@pytest.mark.parametrize("command", ["segment", "batch"])
def test_a_full_disk_is_said_with_the_name_that_the_user_gave(checkout, tmp_path, command):
    """A file may not grow beyond a few bytes, which the system refuses as it does a full disk."""
    noise = np.random.default_rng(0).normal(100, 30, (1, 40, 40, 40)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    write_image(tmp_path / "scans" / "a.nii.gz", Image(noise, np.diag([2.0, 2.0, 2.0, 1.0])))
    inputs = tmp_path / "scans" / ("a.nii.gz" if command == "segment" else "")
    output = tmp_path / "out" / ("a.nii" if command == "segment" else "")
    (tmp_path / "out").mkdir()
    how = ["-m", MODEL, "-o", output, "--device", "cpu", "--engine", "torch"]
    if command == "batch":
        how += ["--suffix", ".nii"]
    with start(checkout, command, inputs, *how, stdout=subprocess.PIPE, preexec_fn=limited) as process:
        said = process.stderr.read().decode()
    line = next(line for line in said.splitlines() if "cannot be written" in line)
    assert f"{tmp_path / 'out' / 'a.nii'}: the file cannot be written (File too large)" in line
    assert "unfinished" not in said
    assert process.returncode == (2 if command == "segment" else 1)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(("a", "."))] == []


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["segment", "", "-m", MODEL, "-o", "o.nii.gz"], "the argument after 'segment'"),
        (["segment", "scan.nii.gz", "-m", MODEL, "-o", ""], "the argument after '-o'"),
        (["batch", "", "-m", MODEL, "-o", "out"], "the argument after 'batch'"),
        (["evaluate", "", ""], "the argument after 'evaluate'"),
        (["train", "", "-o", "model"], "the argument after 'train'"),
    ],
)
def test_an_empty_argument_is_no_folder_and_is_refused_by_its_place(scan_file, monkeypatch, capsys, arguments, place):
    monkeypatch.chdir(scan_file.parent)
    before = sorted(scan_file.parent.iterdir())
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{place} is empty" in line
    assert sorted(scan_file.parent.iterdir()) == before


def test_advice_to_install_names_the_packages_of_the_project(checkout):
    extras = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    advised = train._PACKAGES.replace('"', "").split()
    assert advised == extras["train"]
    assert f'"{extras["openvino"][0]}"' in openvino_engine._HOW_TO_INSTALL

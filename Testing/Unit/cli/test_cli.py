"""The command line around the work: help, tables, exit codes."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from Integration.tiny import write_tiny_bundle
from medseg import __version__
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.write import write_image


def child(checkout, *arguments):
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=True, timeout=60
    )


def test_help_loads_nothing_heavy(checkout):
    program = (
        "import sys; from medseg.cli.main import run; code = run(['--help']);"
        "print('loaded', sorted({'torch', 'monai', 'numpy', 'SimpleITK', 'scipy'} & set(sys.modules)), code)"
    )
    done = child(checkout, "-c", program)
    assert "loaded [] 0" in done.stdout
    assert "segment" in done.stdout
    assert done.stdout.isascii()


def test_importing_the_package_loads_nothing_heavy(checkout):
    program = "import sys, medseg; print(sorted({'torch', 'numpy', 'SimpleITK', 'typer'} & set(sys.modules)))"
    assert child(checkout, "-c", program).stdout.strip() == "[]"


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"medseg {__version__}"


@pytest.mark.parametrize(
    "arguments", [["--bogus"], ["segment"], ["models", "show"], ["nonsense"], ["models", "nonsense"]]
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("Try --help.")


def test_a_bare_command_shows_the_help_as_it_is(capsys):
    assert run([]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("Usage")
    assert shown.count("\n") > 10


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_is_exit_code_130_and_one_sentence_that_says_what_was_stopped(checkout, tmp_path):
    pipe = tmp_path / "names.json"  # the command waits here for as long as nobody writes
    os.mkfifo(pipe)
    arguments = ["models", "import", "w.pth", "-o", tmp_path / "new", "--network", "x", "--labels", pipe]
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention")}
    command = [sys.executable, "-m", "medseg", *map(str, arguments)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        writer = None
        while writer is None:
            assert process.poll() is None, process.stderr.read()
            try:
                writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    os.close(writer)
    assert process.returncode == 130
    (line,) = said.splitlines()
    assert line.startswith("interrupted: medseg models was stopped; no half-written file is left; ")
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_refusal_of_the_system_is_the_users_and_one_line(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medseg.bundles.catalogue.scan", full)
    assert run(["models"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "No space left on device" in line


def test_an_unknown_model_is_refused_by_name(capsys):
    assert run(["models", "show", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_broken_models_are_listed_as_warnings(tmp_path, monkeypatch, capsys):
    (tmp_path / "wreck" / "configs").mkdir(parents=True)
    (tmp_path / "wreck" / "configs" / "metadata.json").write_text("{")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path))
    assert run(["models"]) == 0
    assert "wreck" in capsys.readouterr().err


@pytest.fixture
def pair(tmp_path):
    for name, start in (("p.nii", 2), ("r.nii", 3)):
        array = np.zeros((1, 12, 12, 12), dtype=np.uint8)
        array[0, start : start + 6, 3:9, 3:9] = 1
        write_image(tmp_path / name, Image(array))
    return str(tmp_path / "p.nii"), str(tmp_path / "r.nii")


def test_evaluate_prints_a_table_and_writes_csv(pair, tmp_path, capsys):
    path = tmp_path / "scores.csv"
    assert run(["evaluate", *pair, "--csv", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "0.8333" in shown
    assert shown.isascii()
    assert path.read_text(encoding="utf-8").count("\n") == 3
    assert run(["evaluate", *pair, "--csv", str(path)]) == 2
    assert run(["evaluate", *pair, "--csv", str(path), "--overwrite"]) == 0


@pytest.mark.parametrize("labels", ["one", "0", "1,,2"])
def test_labels_that_are_no_labels_are_refused(pair, labels, capsys):
    assert run(["evaluate", *pair, "--labels", labels]) == 2
    assert repr(labels) in capsys.readouterr().err


def test_doctor_prints_its_report(capsys, tmp_path, monkeypatch):
    write_tiny_bundle(tmp_path, model_id="a-tiny-one")  # the first of all models is tried
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path))
    assert run(["doctor"]) == 0
    assert "self-test" in capsys.readouterr().out

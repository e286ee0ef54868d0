"""``medseg segment`` from end to end."""

import os
import signal
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.imaging.geometry import same_grid
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image
from medseg.jobs.preview import draw as preview
from medseg.jobs.run.run_job import run_job
from medseg.spec.errors import Cancelled
from medseg.spec.events import Finished, Progress
from medseg.spec.job import Job, Options


def child(checkout, *arguments):
    """Run the command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "medseg", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=100,
    )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_command_writes_labels_probabilities_and_a_picture_on_the_grid_of_the_input(
    checkout, tmp_path, scan_file, volume
):
    out = tmp_path / "out"
    out.mkdir()
    outputs = [out / "labels.seg.nrrd", out / "probabilities.nii.gz", out / "preview.png"]
    done = child(
        checkout, "segment", scan_file, "--model", MODEL, "--output", outputs[0],
        "--probabilities", outputs[1], "--preview", outputs[2], "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert names_in(out) == sorted(path.name for path in outputs)
    assert "front" in done.stdout
    assert "volume ml" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.isascii()
    probabilities = nibabel.load(outputs[1])
    np.testing.assert_allclose(probabilities.affine, volume.affine, atol=1e-4)
    scores = np.asarray(probabilities.dataobj)
    assert scores.shape == (*volume.shape, 3)
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-4)
    labels = read_labels(outputs[0])
    with Picture.open(outputs[2]) as picture:
        assert picture.width > 1000
    assert same_grid(labels, volume)
    np.testing.assert_array_equal(labels.array[0], scores.argmax(axis=-1))


def test_a_users_mistake_in_a_child_process_is_one_line_and_exit_code_2(checkout, tmp_path):
    done = child(checkout, "segment", tmp_path / "none.nii.gz", "--model", MODEL, "--output", tmp_path / "out.nrrd")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "none.nii.gz" in line
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--roi", "1,2,3"], "six numbers"),
        (["--roi=10,5,0,1,0,1"], "ROI"),
        (["--roi=5000,5100,5000,5100,5000,5100"], "ROI"),
        (["--overlap", "2"], "overlap"),
        (["--precision", "int8"], "float32, bfloat16, float16"),
        (["--device", "abacus"], "abacus"),
        (["--window-batch", "0"], "batch"),
        (["--model", "tinny"], "tinny"),
        (["--model", "tiny-two-channels"], "2 channel"),
        (["--preview", "picture.bmp"], ".png"),
        (["--probabilities", "p.seg.nrrd"], "not segments"),
        (["--output", "labels.xyz"], ".seg.nrrd"),
        (["--output", "absent/labels.nrrd"], "does not exist"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line_and_leaves_nothing(
    tmp_path, scan_file, arguments, words, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code = run(["segment", str(scan_file), "--model", MODEL, "--output", "labels.nrrd", *arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith("error: ")
    assert words.lower() in line.lower()
    assert names_in(tmp_path) == [scan_file.name]


def test_an_existing_output_is_kept_unless_overwriting_is_allowed(tmp_path, scan_file, capsys):
    output = tmp_path / "labels.nrrd"
    output.write_text("precious")
    arguments = ["segment", str(scan_file), "--model", MODEL, "--output", str(output)]
    assert run(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert run([*arguments, "--overwrite"]) == 0
    assert read_labels(output).shape == (22, 19, 9)


def test_an_output_never_replaces_its_input(scan_file, capsys):
    before = scan_file.read_bytes()
    assert run(["segment", str(scan_file), "--model", MODEL, "--output", str(scan_file), "--overwrite"]) == 2
    assert "an input" in capsys.readouterr().err
    assert scan_file.read_bytes() == before


def test_two_inputs_are_two_channels_of_one_case(tmp_path, scan_file):
    output = tmp_path / "labels.nii.gz"
    assert run(["segment", str(scan_file), str(scan_file), "-m", "tiny-two-channels", "-o", str(output)]) == 0
    assert read_labels(output).shape == (22, 19, 9)


def test_a_bug_shows_its_traceback_and_leaves_nothing(tmp_path, scan_file, capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(preview, "draw_preview", broken)
    outputs = ["--output", str(tmp_path / "l.nrrd"), "--preview", str(tmp_path / "p.png")]
    assert run(["segment", str(scan_file), "--model", MODEL, *outputs]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert names_in(tmp_path) == [scan_file.name]


def test_an_interrupt_is_exit_code_130_and_leaves_nothing(tmp_path, scan_file, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preview, "draw_preview", interrupted)
    outputs = ["--output", str(tmp_path / "l.nrrd"), "--preview", str(tmp_path / "p.png")]
    assert run(["segment", str(scan_file), "--model", MODEL, *outputs]) == 130
    assert "medseg segment was stopped; no half-written file is left" in capsys.readouterr().err
    assert names_in(tmp_path) == [scan_file.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_while_windows_run_says_so_and_leaves_nothing(checkout, tmp_path):
    noise = np.random.default_rng(0).normal(size=(1, 96, 96, 96)).astype(np.float32)
    write_image(tmp_path / "large.nii.gz", Image(noise))
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    options = ["-m", MODEL, "-o", tmp_path / "out.nii.gz", "--overlap", "0.9", "--engine", "torch"]
    command = [sys.executable, "-m", "medseg", "segment", tmp_path / "large.nii.gz", *options]
    with subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline()  # the forecast: what was read is about to be computed
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted: medseg segment was stopped")
    assert "Traceback" not in said
    assert names_in(tmp_path) == ["large.nii.gz"]


def test_cancelling_between_windows_leaves_nothing(tmp_path, scan_file):
    events = []
    job = Job(inputs=(str(scan_file),), model=MODEL, output=str(tmp_path / "labels.nrrd"))
    with pytest.raises(Cancelled):
        run_job(job, events.append, lambda: any(e.stage == "windows" and e.done for e in events))
    assert names_in(tmp_path) == [scan_file.name]
    assert all(event.stage not in {"restore", "write"} for event in events)


def test_a_job_tells_its_stages_in_order_and_ends_with_finished(tmp_path, scan_file):
    events = []
    output = str(tmp_path / "labels.nrrd")
    result = run_job(Job(inputs=(str(scan_file),), model=MODEL, output=output), events.append)
    stages = list(dict.fromkeys(event.stage for event in events if isinstance(event, Progress)))
    assert stages == ["read", "preprocess", "windows", "restore", "postprocess", "write"]
    took, windows = events[-1].seconds, result.windows_seconds
    assert events[-1] == Finished((output,), result.device, took, windows, result.window_count, result.engine)
    assert result.engine.startswith(("PyTorch", "OpenVINO"))
    assert 0 < windows <= result.seconds["windows"] <= took
    assert result.window_count == max(e.total for e in events if isinstance(e, Progress) and e.stage == "windows")


def test_a_forecast_names_the_windows_of_the_run_and_runs_nothing(tmp_path, volume, capsys):
    output, scan_file = tmp_path / "labels.nii", tmp_path / "larger.nii"
    write_image(scan_file, Image(volume.array, volume.affine @ np.diag([3.0, 3.0, 3.0, 1.0])))
    command = ["segment", str(scan_file), "-m", MODEL, "-o", str(output), "--device", "cpu", "--overlap", "0"]
    windows = []
    for flags in ([], ["--spacing-factor", "2"]):
        assert run([*command, *flags, "--forecast"]) == 0
        assert not output.exists()
        said = capsys.readouterr().out
        assert "MiB of memory" in said
        assert "time unknown" in said
        windows.append(int(said.split()[1]))
    job = Job(inputs=(str(scan_file),), model=MODEL, output=str(output), options=Options(device="cpu", overlap=0))
    assert windows[0] == run_job(job).window_count
    assert windows[1] < windows[0]


def test_quick_is_twice_as_coarse_and_not_both(tmp_path, scan_file, capsys):
    quick, by_factor = tmp_path / "quick.nii", tmp_path / "by_factor.nii"
    command = ["segment", str(scan_file), "-m", MODEL, "--device", "cpu", "-o"]
    assert run([*command, str(quick), "--quick"]) == 0
    assert run([*command, str(by_factor), "--spacing-factor", "2"]) == 0
    np.testing.assert_array_equal(read_labels(quick).array, read_labels(by_factor).array)
    assert run([*command, str(tmp_path / "both.nii"), "--quick", "--spacing-factor", "3"]) == 2
    assert "3 was given too" in capsys.readouterr().err

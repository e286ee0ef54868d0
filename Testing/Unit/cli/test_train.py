"""``medseg train`` as a person types it."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from medseg.bundles.metadata import read_manifest
from medseg.cli.flag_values import read_axis, read_duration, read_spacing, read_voxels
from medseg.cli.main import run
from medseg.spec.errors import JobError
from medseg.training.planning.plan import read_plan
from medseg.training.train import alone_in
from Unit.training.phantoms import write_phantoms

QUICK = ["--set", "model.arguments.widths=T", "--steps", "2", "--workers", "0", "--device", "cpu"]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 5)


def test_a_dry_run_prints_the_plan_with_its_reasons_and_saves_it(phantoms, tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert run(["train", str(phantoms), "-o", str(tmp_path / "My Model"), "--dry-run", *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "model.window_shape" in printed
    assert "every case has it: nothing is interpolated" in printed
    assert "4 cases train, 1 are held out" in printed
    plan = read_plan(tmp_path / "My Model-training" / "plan.json")
    assert plan.model.model_id == "my-model"
    assert plan.model.arguments["widths"] == "T"
    assert plan.training.steps == 2
    assert not (tmp_path / "My Model").exists()
    assert signal.getsignal(signal.SIGTERM) is before, "the process that asked for a training keeps its own way to end"


def test_one_command_makes_a_bundle_and_a_plan_makes_it_again(phantoms, tmp_path, capsys):
    assert run(["train", str(phantoms), "-o", str(tmp_path / "one"), *QUICK]) == 0
    printed = capsys.readouterr()
    assert "step 2/2" in printed.err
    assert "folds.json" in printed.out
    made = tmp_path / "one"
    assert read_manifest(made / "configs" / "metadata.json").labels[0].name == "ball"
    plan = made / "docs" / "training" / "plan.json"
    command = ["train", str(phantoms), "-o", str(tmp_path / "two"), "--plan", str(plan), "--workers", "0"]
    assert run([*command, "--device", "cpu"]) == 0
    weights = [tmp_path / name / "models" / "model.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    (fold,) = json.loads((made / "docs" / "training" / "folds.json").read_text())
    assert (len(fold["train"]), len(fold["val"])) == (4, 1)


def test_all_cases_train_when_asked_and_a_model_is_fine_tuned_by_its_folder(phantoms, tmp_path, capsys):
    assert run(["train", str(phantoms), "-o", str(tmp_path / "one"), "--fold", "all", *QUICK]) == 0
    assert "5 cases train, 0 are held out" in capsys.readouterr().out
    command = ["train", str(phantoms), "-o", str(tmp_path / "tuned"), "--from", str(tmp_path / "one")]
    assert run([*command, "--steps", "1", "--workers", "0", "--device", "cpu"]) == 0
    assert "start with the weights of one" in capsys.readouterr().err
    tuned = read_manifest(tmp_path / "tuned" / "configs" / "metadata.json")
    assert tuned.arguments["widths"] == "T"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM is not sent to one process there")
def test_a_training_that_a_scheduler_ends_says_so_as_after_ctrl_c_and_can_go_on(phantoms, tmp_path, checkout):
    """In a process of its own: twice the signal ended the tests' own process, without a word."""
    arguments = ["train", phantoms, "-o", tmp_path / "m", *QUICK, "--steps", "100000"]
    command = [sys.executable, "-m", "medseg", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "m-training" / "folds.json").is_file():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 130
    line = said.splitlines()[-1]
    assert line.startswith("interrupted: medseg train was stopped; no half-written file is left; ")
    assert "the same command goes on" in line
    assert not (tmp_path / "m").exists()
    with alone_in(tmp_path / "m-training"):
        pass


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--network", "x", "--like", "y"], "--network and --like each say what to train"),
        (["--network", "unheard_of"], "no network is called 'unheard_of'"),
        (["--fold", "first"], "a number from 0 or 'all', got 'first'"),
        (["--workers", "-2"], "--workers is a whole number from 0, got -2"),
        (["--seed", "-1"], "--seed is a whole number from 0, got -1"),
        (["--fold", "9"], "there are folds 0 to 4, got 9"),
        (["--set", "training.bach=1"], "the plan has no value 'training.bach'"),
        (["--time-limit", "soon"], "write e.g. 30m"),
        (["--subjects", "^zzz"], "5 cases have no subject"),
    ],
)
def test_mistakes_are_answered_in_one_line(phantoms, tmp_path, capsys, arguments, complaint):
    quick = ["--window", "16,16,16", "--batch", "1", "--device", "cpu"]  # what would be proposed is not the subject
    assert run(["train", str(phantoms), "-o", str(tmp_path / "m"), *quick, *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_texts_of_flags():
    assert read_duration("30m") == 1800
    assert read_duration("1.5h") == 5400
    assert read_voxels("32,48,32", "--patch") == (32, 48, 32)
    assert read_spacing("1,0.5,2") == (1, 0.5, 2)
    assert read_axis("k") == 2
    wrong = ((read_duration, "0s"), (partial(read_voxels, flag="--patch"), "1,2"), (read_spacing, "1,2,-1"))
    for parse, text in (*wrong, (read_axis, "x")):
        with pytest.raises(JobError):
            parse(text)

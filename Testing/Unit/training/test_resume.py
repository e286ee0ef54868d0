"""A run that is killed goes on to the weights it would have had."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from medseg.io.dataset import read_dataset
from medseg.spec.errors import JobError
from medseg.training.loop.checkpoint import NAME, load_checkpoint
from medseg.training.loop.run_log import LogRow, RunLog, read_log
from medseg.training.train import Settings, train
from Unit.training.phantoms import a_plan

STEPS = 24
CHILD = """
import sys, time
from pathlib import Path
import torch
from Unit.training.test_resume import run

torch.set_num_threads(1)

def slowly(status):
    if status.step >= 6:
        print(status.step, flush=True)
        time.sleep(0.02)

run(Path(sys.argv[1]), Path(sys.argv[2]), slowly, augment_on=sys.argv[3])
"""


def run(phantoms: Path, output: Path, on_status=lambda _: None, *, augment_on="patch") -> None:
    cases = list(read_dataset(phantoms).values())
    settings = Settings(workers=0, checkpoint_seconds=0.0, on_status=on_status)
    plan = a_plan(steps=STEPS, validations=STEPS // 2, augment_on=augment_on)
    train(cases[:4], plan, output, validation=cases[4:], settings=settings)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that kills")
@pytest.mark.parametrize("augment_on", ["patch", "batch"])
def test_a_run_that_was_killed_ends_with_the_same_weights_to_the_bit(phantoms: Path, tmp_path: Path, augment_on):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(phantoms), str(broken), augment_on]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        run(phantoms, whole, augment_on=augment_on)
        process.stdout.readline()  # it is training now
        time.sleep(random.random() / 3)  # noqa: S311 - any moment
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not broken.exists()
    assert 5 <= load_checkpoint(tmp_path / "broken-training" / NAME).progress.step < STEPS
    run(phantoms, broken, augment_on=augment_on)
    for name in ("averaged.safetensors", "best.safetensors"):
        one, other = (tmp_path / f"{each}-training" / name for each in ("whole", "broken"))
        assert one.read_bytes() == other.read_bytes(), name
    one, other = (each / "models" / "model.safetensors" for each in (whole, broken))
    assert one.read_bytes() == other.read_bytes()
    rows = [read_log(each / "docs" / "training" / "log.csv") for each in (whole, broken)]
    assert [(r.step, r.loss, r.dice) for r in rows[0]] == [(r.step, r.loss, r.dice) for r in rows[1]]


def test_a_damaged_checkpoint_says_how_to_begin_again(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"half a file")
    with pytest.raises(JobError, match="begin again with --restart"):
        load_checkpoint(tmp_path / NAME)


def test_a_log_that_was_cut_off_is_continued_from_its_checkpoint(tmp_path: Path):
    path = tmp_path / "log.csv"
    log = RunLog(path)
    for step in range(1, 6):
        log.add(LogRow(step, 0, 1.0 / step, 0.1, 1.0, 0.5 if step == 2 else None))
    log.flush()
    with path.open("a") as file:
        file.write("6,0,0.1")
    assert [row.step for row in read_log(path)] == [1, 2, 3, 4, 5]
    log = RunLog(path, resume_at=3)
    log.add(LogRow(4, 0, 9.0, 0.1, 1.0))
    log.flush()
    rows = read_log(path)
    assert [row.step for row in rows] == [1, 2, 3, 4]
    assert (rows[1].dice, rows[3].loss) == (0.5, 9.0)

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
from medseg.training.train import train
from Unit.training.phantoms import a_config, a_plan

STEPS = 12
CHILD = """
import sys, time
from pathlib import Path
import torch
from Unit.training.test_resume import run

torch.set_num_threads(1)

def slowly(learning):
    if learning.step >= 4:
        print(learning.step, flush=True)
        time.sleep(0.15)

run(Path(sys.argv[1]), Path(sys.argv[2]), slowly, often=True)
"""


def run(phantoms: Path, output: Path, on_progress=lambda _: None, *, augment_on="patch", often=False) -> None:
    cases = list(read_dataset(phantoms).values())
    plan = a_plan(steps=STEPS, validations=STEPS // 3, augment_on=augment_on)
    train(
        a_config(output, checkpoint_seconds=0.0 if often else 60.0), plan, cases[:4], cases[4:], on_progress=on_progress
    )


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_same(folder: Path) -> None:
    """The runs "whole" and "broken" ended with the same files, to the bit."""
    for name in ("averaged.safetensors", "best.safetensors"):
        one, other = (folder / f"{each}-training" / name for each in ("whole", "broken"))
        assert one.read_bytes() == other.read_bytes(), name
    one, other = (folder / each / "models" / "model.safetensors" for each in ("whole", "broken"))
    assert one.read_bytes() == other.read_bytes()
    rows = [read_log(folder / each / "docs" / "training" / "log.csv") for each in ("whole", "broken")]
    assert len(rows[0]) == STEPS
    assert [(r.step, r.loss, r.dice) for r in rows[0]] == [(r.step, r.loss, r.dice) for r in rows[1]]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that kills")
def test_a_run_that_was_killed_ends_with_the_same_weights_to_the_bit(phantoms: Path, tmp_path: Path, checkout: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    paths = checkout / "MedSegAttention", checkout / "Testing"  # of this checkout, whichever is installed
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(phantoms), str(broken)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        run(phantoms, whole)
        process.stdout.readline()  # it is training now
        time.sleep(random.random() / 3)  # noqa: S311 - any moment
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not broken.exists()
    assert 3 <= load_checkpoint(tmp_path / "broken-training" / NAME).progress.step < STEPS
    run(phantoms, broken)
    assert_same(tmp_path)


@pytest.mark.usefixtures("one_thread")
def test_a_run_whose_batches_are_changed_goes_on_alike_after_an_interrupt(phantoms: Path, tmp_path: Path):
    def interrupt(learning):
        if learning.step >= 4:
            raise KeyboardInterrupt

    run(phantoms, tmp_path / "whole", augment_on="batch")
    with pytest.raises(KeyboardInterrupt):
        run(phantoms, tmp_path / "broken", interrupt, augment_on="batch")
    assert not (tmp_path / "broken").exists()
    assert 3 <= load_checkpoint(tmp_path / "broken-training" / NAME).progress.step < STEPS
    run(phantoms, tmp_path / "broken", augment_on="batch")
    assert_same(tmp_path)


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

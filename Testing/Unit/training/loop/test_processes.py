"""Where a process stands among those that torchrun or Slurm started."""

import pytest

from medseg.training.loop.processes import Processes, running_processes


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_nobody_counts_is_alone():
    assert running_processes() == Processes(rank=0, world=1, per_node=1)


def test_torchrun_and_slurm_say_the_same(monkeypatch):
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    expected = Processes(rank=5, world=8, per_node=4)
    assert running_processes() == expected
    assert expected.nodes == 2
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name)
    for name, value in (("SLURM_PROCID", "5"), ("SLURM_NTASKS", "8"), ("SLURM_NTASKS_PER_NODE", "4")):
        monkeypatch.setenv(name, value)
    assert running_processes() == expected

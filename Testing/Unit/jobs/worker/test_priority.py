"""A worker that stands back behind others does not spin while it waits."""

import os
import subprocess
import sys

import pytest

from medseg.jobs.worker.command import worker_environment

pytestmark = pytest.mark.skipif(not hasattr(os, "nice"), reason="this system knows no niceness")

CODE = """
from medseg.jobs.worker.priority import niceness
from medseg.jobs.worker.command import worker_environment
own = worker_environment({"OMP_WAIT_POLICY": "X"})["OMP_WAIT_POLICY"]
print(niceness(), worker_environment({}).get("OMP_WAIT_POLICY"), own)
"""


def test_a_process_that_was_started_at_a_low_priority_knows_it_and_lets_the_threads_of_its_workers_sleep():
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env=worker_environment(),
        preexec_fn=lambda: os.nice(19),
    )
    assert run.stdout.split() == ["19", "PASSIVE", "X"]


def test_at_the_usual_priority_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(os, "getpriority", lambda _which, _who: 0)
    assert "OMP_WAIT_POLICY" not in worker_environment({})

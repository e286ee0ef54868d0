"""Tests in several processes at once: each keeps to its share of the processors, and all collect the same."""

import os
import shutil
import subprocess
import sys

INSIDE = """
import os, sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(4))
def test_environment(number):
    assert "torch" not in sys.modules
    said = [os.environ.get(name, "") for name in ("PYTEST_XDIST_WORKER", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")]
    Path(__file__).with_name(f"{number}.txt").write_text(" ".join(said))
"""


def seen_inside(checkout, folder, *flags, **variables):
    """What four tests beside a copy of our conftest see of their environment."""
    shutil.copy(checkout / "Testing" / "conftest.py", folder)
    (folder / "test_inside.py").write_text(INSIDE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist", *flags, str(folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=ours | variables | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.read_text() for path in folder.glob("*.txt")}


def test_each_of_two_workers_takes_half_of_the_processors(checkout, tmp_path):
    share = max(1, os.cpu_count() // 2)
    assert seen_inside(checkout, tmp_path, "-n", "2") == {f"gw0 {share} PASSIVE", f"gw1 {share} PASSIVE"}


def test_what_the_user_asked_for_stands(checkout, tmp_path):
    assert seen_inside(checkout, tmp_path, "-n", "2", OMP_NUM_THREADS="3") == {"gw0 3 PASSIVE", "gw1 3 PASSIVE"}


def test_one_process_takes_all(checkout, tmp_path):
    assert seen_inside(checkout, tmp_path) == {"  "}

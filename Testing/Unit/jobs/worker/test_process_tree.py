import subprocess
import sys
import time
from pathlib import Path

import pytest

from medseg.jobs.worker import process_tree
from medseg.jobs.worker.process_tree import kill_tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asks the system about processes the POSIX way")

FAMILY = """
import subprocess, sys, time
sys.path.insert(0, {path!r})
from medseg.jobs.worker.process_tree import end_with_children, own_group
if {grouped}: own_group()
child = subprocess.Popen([sys.executable, "-SEc", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
if {ends}: end_with_children(3)
time.sleep(60)
"""


def is_running(pid):
    try:
        # a dead child of a dead parent may wait for someone to take note
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pid, seconds=2):
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


@pytest.fixture
def family(checkout):
    """Start a process with a child of its own; gives it and the child's id."""
    started = []

    def start(**how):
        code = FAMILY.format(path=str(checkout / "MedSegAttention"), **{"grouped": False, "ends": False, **how})
        started.append(subprocess.Popen([sys.executable, "-SEc", code], stdout=subprocess.PIPE))
        return started[-1], int(started[-1].stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


linux = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads /proc")


@linux
@pytest.mark.parametrize("grouped", [True, False])
def test_killing_a_tree_ends_the_children_too(family, grouped):
    pytest.importorskip("psutil")
    parent, child = family(grouped=grouped)
    kill_tree(parent.pid)
    assert parent.wait(2) == -9
    assert wait_gone(child)


@linux
def test_without_psutil_a_group_is_killed_with_its_head(family, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    parent, child = family(grouped=True)
    kill_tree(parent.pid)
    assert parent.wait(2) == -9
    assert wait_gone(child)


@linux
def test_a_process_ends_with_its_children(family):
    parent, child = family(grouped=True, ends=True)
    assert parent.wait(2) != 0
    assert wait_gone(child)


def test_killing_what_has_ended_is_no_error():
    process = subprocess.Popen([sys.executable, "-SEc", ""])
    process.wait()
    kill_tree(process.pid)
    assert process.returncode == 0


def test_a_process_nobody_may_look_at_is_no_error(monkeypatch):
    psutil = pytest.importorskip("psutil")

    def refuse(_pid):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", refuse)
    process = subprocess.Popen([sys.executable, "-SEc", "import time; time.sleep(60)"])
    kill_tree(process.pid)
    assert process.wait(10) == -9


def test_on_windows_no_console_flashes_up_and_a_dead_process_is_no_error(monkeypatch):
    """Windows is played: its flag, its missing tool, and how it says that a process has ended."""
    commands = []

    def run(command, **how):
        commands.append((command[1:], how["creationflags"]))
        raise FileNotFoundError(2, "no taskkill")

    def kill(_pid, _signal):
        raise OSError(87, "The parameter is incorrect")

    monkeypatch.setattr(process_tree, "_NO_WINDOW", 0x08000000)
    monkeypatch.setattr(process_tree, "_descendants", lambda _pid: [123456])
    monkeypatch.setattr(process_tree.subprocess, "run", run)
    monkeypatch.setattr(process_tree.os, "kill", kill)
    monkeypatch.setattr(process_tree.sys, "platform", "win32")
    kill_tree(654321)
    monkeypatch.undo()
    assert commands == [(["/PID", "654321", "/T", "/F"], 0x08000000)]

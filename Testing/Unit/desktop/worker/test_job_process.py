"""Which Python computes."""

import shutil
import sys
from types import ModuleType, SimpleNamespace

import pytest

from medseg.desktop.worker.job_process import child_environment, find_python
from medseg.spec.errors import JobError


def test_inside_slicer_its_own_python_computes(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/slicer/bin/{name}")
    monkeypatch.setattr(sys, "executable", "/slicer/bin/SlicerApp-real")
    assert find_python() == "/slicer/bin/PythonSlicer"


@pytest.mark.parametrize("ending", ["", ".exe"])
def test_the_real_python_is_taken_where_it_lies_beside_its_launcher(ending, monkeypatch, tmp_path):
    launcher, real = tmp_path / f"PythonSlicer{ending}", tmp_path / f"python-real{ending}"
    real.touch()
    monkeypatch.setattr(shutil, "which", lambda name: str(launcher) if name == "PythonSlicer" else None)
    assert find_python() == str(real)
    assert child_environment(str(launcher)) is None
    assert child_environment(str(real)) is None


def test_outside_slicer_the_running_python_computes(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert find_python() == sys.executable


def test_an_application_is_never_started_in_place_of_a_python(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/slicer/bin/SlicerApp-real")
    with pytest.raises(JobError, match="PythonSlicer was not found"):
        find_python()


@pytest.fixture
def slicer(monkeypatch):
    """A Slicer that knows what it was started with."""
    module = ModuleType("slicer")
    module.app = SimpleNamespace()
    module.util = SimpleNamespace(startupEnvironment=lambda: {"HOME": "/home/me"})
    monkeypatch.setitem(sys.modules, "slicer", module)
    monkeypatch.setattr(shutil, "which", lambda name: "/slicer/bin/PythonSlicer" if name == "PythonSlicer" else None)
    return module


@pytest.mark.usefixtures("slicer")
@pytest.mark.parametrize("python", [None, "PythonSlicer", "/slicer/bin/PythonSlicer", "/slicer/x/../bin/PythonSlicer"])
def test_slicers_own_python_keeps_slicers_surroundings(python):
    assert child_environment(python) is None


@pytest.mark.usefixtures("slicer")
def test_another_python_gets_what_slicer_was_started_with():
    assert child_environment("/home/me/venv/bin/python") == {"HOME": "/home/me"}


@pytest.mark.usefixtures("slicer")
def test_a_virtual_environments_link_to_slicers_python_is_another_python(tmp_path, monkeypatch):
    own = tmp_path / "PythonSlicer"
    own.touch()
    (tmp_path / "python").symlink_to(own)
    monkeypatch.setattr(shutil, "which", lambda name: str(own) if name == "PythonSlicer" else None)
    assert child_environment(str(tmp_path / "python")) == {"HOME": "/home/me"}


def test_a_slicer_that_does_not_know_what_it_was_started_with_gives_its_own(slicer):
    del slicer.util.startupEnvironment
    assert child_environment("/usr/bin/python3") is None

"""Which Python computes."""

import shutil
import sys

import pytest

from medseg.desktop.job_process import find_python
from medseg.spec.errors import JobError


def test_inside_slicer_its_own_python_computes(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/slicer/bin/{name}")
    monkeypatch.setattr(sys, "executable", "/slicer/bin/SlicerApp-real")
    assert find_python() == "/slicer/bin/PythonSlicer"


def test_outside_slicer_the_running_python_computes(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert find_python() == sys.executable


def test_an_application_is_never_started_in_place_of_a_python(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/slicer/bin/SlicerApp-real")
    with pytest.raises(JobError, match="PythonSlicer was not found"):
        find_python()

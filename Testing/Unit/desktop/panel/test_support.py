"""A support report says what a developer needs, and nothing about people."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from medseg.desktop.panel.support import collect_versions, support_report, without_names, write_support
from medseg.desktop.state.preferences import Preferences
from medseg.spec.errors import JobError, OutputExists
from medseg.spec.events import Device


@pytest.fixture
def jane(monkeypatch):
    """The user jane.doe, whose home is /home/jane.doe."""
    home = Path("/home/jane.doe")
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr("getpass.getuser", lambda: "jane.doe")


@pytest.fixture
def preferences():
    made = Preferences()
    made.python = "/home/jane.doe/venv/bin/python"
    return made


@pytest.mark.usefixtures("jane")
def test_it_holds_versions_devices_settings_and_the_log(preferences):
    report = support_report(
        {"Slicer": "5.12.3", "medseg": "0.1.0"},
        preferences,
        "line one\nline two",
        settings={"overlap": "0.75"},
        devices=[Device("cuda:0", "NVIDIA RTX 4090", 20000, 24564), Device("cpu", "AMD Ryzen", None, None)],
        packages="Ready: torch 2.6.0",
    )
    for words in (
        "Slicer  5.12.3",
        "cuda:0  NVIDIA RTX 4090, 20000 MiB free of 24564 MiB",
        "cpu     AMD Ryzen",
        "~/venv/bin/python",
        "overlap  0.75",
        "line one\nline two",
        "Ready: torch 2.6.0",
    ):
        assert words in report
    assert "jane" not in report


def test_what_is_empty_is_said():
    report = support_report({}, Preferences(), "")
    for words in ("not looked for", "Slicer's own", "empty", "all as the model says"):
        assert words in report


@pytest.mark.usefixtures("jane")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cannot read /home/jane.doe/scans/Miller_1957.nii.gz: gone", "cannot read <scan>: gone"),
        ("'/data/Miller, Anna 1957.seg.nrrd' exists", "'<scan>' exists"),
        ('loading "C:\\Scans\\Miller Anna.MHA"', 'loading "<scan>"'),
        ("C:\\Users\\x\\Miller.dcm is no scan", "<scan> is no scan"),
        ("worker of JANE.DOE at host", "worker of user at host"),
        ("/home/jane.doe", "~"),
        ("File /home/jane.doe/Slicer/medseg/io/read.py, line 3", "File ~/Slicer/medseg/io/read.py, line 3"),
        ("/home/jane.doe-smith/x.py", "/home/user-smith/x.py"),
    ],
)
def test_people_and_scans_are_left_out(said, kept):
    assert without_names(said) == kept


@pytest.mark.usefixtures("jane")
@pytest.mark.parametrize(
    "line",
    [
        "torch 2.6.0+cu124",
        "mean 0.25, std 1.5",
        "File ~/medseg/io/nifti.py, line 12, in read_nifti",
        "model hippocampus-ultralight3d 1.0.0",
        "the format NRRD is read",
    ],
)
def test_what_names_nobody_stays(line):
    assert without_names(line) == line


@pytest.mark.parametrize("name", ["", "me", "user"])
def test_a_user_whose_name_is_in_every_word_does_not_garble_the_text(monkeypatch, name):
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    monkeypatch.setattr("getpass.getuser", lambda: name)
    assert without_names("time/memory of the user me") == "time/memory of the user me"


def test_a_very_long_line_takes_no_time():
    begun = time.monotonic()
    for piece in ("a", ".", "a.nii", "/", "'"):
        without_names(piece * 100_000)
    assert time.monotonic() - begun < 5


def test_a_user_without_a_name_is_no_obstacle(monkeypatch):
    def nobody():
        raise KeyError(1234)

    monkeypatch.setattr("getpass.getuser", nobody)
    assert without_names("a line") == "a line"


def test_versions_are_found_without_importing_anything():
    code = (
        "import sys\nfrom medseg.desktop.panel.support import collect_versions\n"
        "print(collect_versions({'Slicer': '5.12'}))\n"
        "assert not {'torch', 'SimpleITK', 'vtk', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    versions = collect_versions({"Slicer": "5.12"})
    assert versions["Slicer"] == "5.12"
    assert versions["torch"][0].isdigit()
    assert str(versions) == done.stdout.strip()


def test_the_file_is_whole_and_never_replaces_another_unasked(tmp_path):
    path = tmp_path / "support.txt"
    write_support(path, "résumé\n")
    assert path.read_text(encoding="utf-8") == "résumé\n"
    with pytest.raises(OutputExists, match="kept"):
        write_support(path, "other")
    write_support(path, "other", overwrite=True)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(JobError, match="does not exist; create it first"):
        write_support(tmp_path / "none" / "support.txt", "")

"""What a killed process leaves of patients is removed by the next one, and nothing else is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medseg.desktop.worker import job_home
from medseg.desktop.worker.job_home import keep_job_folder, make_job_folder, remove_job_folder, remove_stale_folders

OTHER = """
import sys, time
sys.dont_write_bytecode = True
from medseg.desktop.worker.job_home import make_job_folder
folder = make_job_folder()
(folder / "input0.nii").write_bytes(b"a patient")
print(folder, flush=True)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TEMP", str(tmp_path))
    monkeypatch.setattr(job_home, "_held", {})
    return tmp_path


def age(folder, seconds=3600):
    past = time.time() - seconds
    os.utime(folder / ".owner", (past, past))


def test_the_folder_of_a_process_that_lives_stays_and_that_of_a_killed_one_is_removed(temporary):
    with subprocess.Popen([sys.executable, "-c", OTHER], stdout=subprocess.PIPE, text=True) as process:
        folder = temporary / Path(process.stdout.readline().strip()).name
        age(folder)
        try:
            assert remove_stale_folders() == 0
            assert (folder / "input0.nii").is_file()
        finally:
            process.kill()
    assert remove_stale_folders() == 1
    assert list(temporary.iterdir()) == []


def test_one_that_was_just_made_is_left_alone_as_its_lock_may_not_be_there_yet(temporary):
    folder = temporary / "medseg-abc"
    folder.mkdir()
    (folder / ".owner").touch()
    assert remove_stale_folders() == 0
    age(folder)
    assert remove_stale_folders() == 1


def test_ones_own_folders_are_in_use_until_they_are_removed():
    folder = make_job_folder()
    age(folder)
    assert remove_stale_folders() == 0
    (folder / "labels.nii").touch()
    remove_job_folder(folder)
    assert not folder.exists()


def test_a_folder_with_the_only_copy_of_a_result_is_nobodys_to_remove():
    folder = make_job_folder()
    (folder / "labels.nii").touch()
    keep_job_folder(folder)
    assert remove_stale_folders() == 0
    assert [path.name for path in folder.iterdir()] == ["labels.nii"]
    remove_job_folder(folder)


def test_folders_of_others_are_left_alone(temporary):
    for name in ("medseg-build-x", "other"):
        (temporary / name).mkdir()
    (temporary / "other" / ".owner").touch()
    target = temporary / "elsewhere"
    target.mkdir()
    (target / ".owner").touch()
    age(target)
    (temporary / "medseg-link").symlink_to(target, target_is_directory=True)
    assert remove_stale_folders() == 0
    assert len(list(temporary.iterdir())) == 4


def test_only_the_user_can_look_into_a_folder():
    folder = make_job_folder()
    assert os.name == "nt" or folder.stat().st_mode & 0o077 == 0
    remove_job_folder(folder)

"""Folders of models that others share: read, shown with their origin, and never waited for longer than patience."""

import os
import threading
import time
from dataclasses import replace

import pytest

from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import FolderScan, find_bundle, scan, search_path
from medseg.bundles.metadata import write_manifest
from medseg.spec.errors import ModelNotFound


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Built-in, user and shared folders that are empty or absent."""
    monkeypatch.setattr(catalogue_module, "built_in_folder", lambda: tmp_path / "built-in")
    monkeypatch.setattr(catalogue_module, "user_folder", lambda: tmp_path / "user")
    for name in ("MEDSEG_MODELS", "MEDSEG_SHARED_MODELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def add(manifest):
    def write(folder):
        (folder / "configs").mkdir(parents=True)
        write_manifest(replace(manifest, model_id=folder.name), folder / "configs" / "metadata.json")
        return folder

    return write


def test_every_model_says_whose_it_is_and_ones_own_wins_over_a_shared_one(home, add, monkeypatch):
    add(home / "built-in" / "shipped")
    add(home / "department" / "theirs")
    add(home / "department" / "both")
    mine = add(home / "user" / "both")
    monkeypatch.setenv("MEDSEG_SHARED_MODELS", str(home / "department"))
    found = scan()
    origins = {name: bundle.origin for name, bundle in found.bundles.items()}
    assert origins == {"both": "own", "shipped": "built-in", "theirs": "shared"}
    assert found.bundles["both"].folder == mine
    assert found.broken == ()


def test_a_caller_names_more_folders_and_a_folder_may_be_a_model(home, add):
    alone = add(home / "elsewhere" / "alone")
    add(home / "department" / "theirs")
    more = [home / "department", alone]
    assert list(scan(shared=more).bundles) == ["alone", "theirs"]
    assert scan(shared=more).bundles["alone"].is_alone
    assert not scan(shared=more).bundles["theirs"].is_alone
    assert find_bundle("theirs", more).origin == "shared"
    assert [origin for _, origin in search_path(more)] == ["built-in", "shared", "shared", "own"]
    assert scan().bundles == {}


def test_a_shared_folder_that_is_not_there_is_a_sentence_and_the_others_stay(home, add, monkeypatch):
    add(home / "user" / "mine")
    absent = home / "absent"
    monkeypatch.setenv("MEDSEG_SHARED_MODELS", str(absent))
    found = scan()
    assert list(found.bundles) == ["mine"]
    assert [each.reason for each in found.broken] == [
        f"{absent}, a shared folder of models, is not there; check the path and the network drive, or take it out of "
        "MEDSEG_SHARED_MODELS or the setting"
    ]
    with pytest.raises(ModelNotFound, match=r"no model is called 'theirs'; installed: mine; .*; .*absent, a shared"):
        find_bundle("theirs")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is refused to this user")
def test_a_folder_that_may_not_be_read_is_a_sentence(home, add):
    add(home / "department" / "theirs")
    (home / "department").chmod(0)
    try:
        (broken,) = scan(shared=[home / "department"]).broken
    finally:
        (home / "department").chmod(0o755)
    assert "cannot be read (Permission denied)" in broken.reason


def test_a_file_in_the_place_of_a_folder_is_a_sentence(home):
    (home / "file").write_text("words")
    (broken,) = scan(shared=[home / "file"]).broken
    assert "is not there" in broken.reason


@pytest.fixture
def stalled(home, add, monkeypatch):
    """A shared folder whose drive does not answer before it is told to: reading it blocks, as a dead mount does."""
    add(home / "stalled" / "late")
    answer = threading.Event()
    real = catalogue_module._scan_folder

    def slow(root, origin):
        if root.name == "stalled":
            answer.wait(30)
        return real(root, origin)

    monkeypatch.setattr(catalogue_module, "_scan_folder", slow)
    yield home / "stalled", answer
    answer.set()


def test_a_drive_that_does_not_answer_is_waited_for_no_longer_than_patience(home, add, stalled, monkeypatch):
    add(home / "user" / "mine")
    monkeypatch.setattr(catalogue_module, "PATIENCE_SECONDS", 0.2)
    begun = time.monotonic()
    found = scan(shared=[stalled[0], stalled[0].with_name("absent")])
    assert time.monotonic() - begun < 5
    assert list(found.bundles) == ["mine"]
    assert "stalled, a shared folder of models, has not answered yet" in found.broken[0].reason
    assert "absent, a shared folder of models, is not there" in found.broken[1].reason


def test_the_answer_of_a_slow_drive_is_taken_when_it_comes(stalled):
    folder, answer = stalled
    asked = FolderScan(folder)
    assert not asked.wait(0.05)
    assert asked.answer.bundles == {}
    answer.set()
    assert asked.wait(20)
    assert list(asked.answer.bundles) == ["late"]
    assert asked.answer.broken == ()

"""Which models there are, also when some of them are broken."""

import os
import shutil
from dataclasses import replace

import pytest

from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import built_in_folder, catalogue, find_bundle, scan, search_path, user_folder
from medseg.bundles.metadata import write_manifest
from medseg.spec.errors import ManifestError, ModelNotFound


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Built-in, user and named folders that are empty or absent."""
    monkeypatch.setattr(catalogue_module, "built_in_folder", lambda: tmp_path / "built-in")
    monkeypatch.setattr(catalogue_module, "user_folder", lambda: tmp_path / "user")
    monkeypatch.delenv("MEDSEG_MODELS", raising=False)
    return tmp_path


@pytest.fixture
def add(manifest):
    def write(folder, **changes):
        (folder / "configs").mkdir(parents=True)
        write_manifest(replace(manifest, model_id=folder.name), folder / "configs" / "metadata.json")
        if changes:
            write_manifest(replace(manifest, **changes), folder / "configs" / "metadata.json")
        return folder

    return write


def test_models_come_from_all_three_places_sorted_by_id(home, add, monkeypatch):
    add(home / "built-in" / "b")
    add(home / "user" / "c")
    add(home / "one" / "a")
    add(home / "two" / "d")
    monkeypatch.setenv("MEDSEG_MODELS", os.pathsep.join([str(home / "one"), "", str(home / "two")]))
    assert list(catalogue()) == ["a", "b", "c", "d"]
    assert find_bundle("c").folder == home / "user" / "c"
    assert find_bundle("c").weights_path == home / "user" / "c" / "models" / "model.safetensors"


@pytest.mark.usefixtures("home")
def test_without_any_folder_there_is_no_model_and_nothing_is_broken():
    assert scan().bundles == {}
    assert scan().broken == ()


def test_a_later_place_wins_over_an_earlier_one(home, add, monkeypatch):
    add(home / "built-in" / "a")
    mine = add(home / "user" / "a")
    assert find_bundle("a").folder == mine
    named = add(home / "env" / "a")
    monkeypatch.setenv("MEDSEG_MODELS", str(home / "env"))
    assert find_bundle("a").folder == named


def test_an_entry_of_the_environment_may_be_one_bundle(home, add, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(add(home / "elsewhere" / "alone")))
    assert list(catalogue()) == ["alone"]


def test_a_broken_bundle_is_listed_with_its_reason_and_hides_no_other(home, add):
    add(home / "user" / "good")
    path = add(home / "user" / "bad") / "configs" / "metadata.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"zscore"', '"z"'), encoding="utf-8")
    (home / "user" / "empty" / "configs").mkdir(parents=True)
    found = scan()
    assert list(found.bundles) == ["good"]
    reasons = {wreck.folder.name: wreck.reason for wreck in found.broken}
    assert set(reasons) == {"bad", "empty"}
    assert (
        'medseg.intensity.kind: expected one of none, zscore, clip_zscore, clip_unit, percentile, got "z"'
        in reasons["bad"]
    )
    with pytest.raises(ManifestError, match=r"medseg\.intensity\.kind"):
        find_bundle("bad")


def test_two_folders_of_one_id_in_one_place_are_said(home, add):
    add(home / "user" / "a")
    add(home / "user" / "copy", model_id="a")
    found = scan()
    assert found.bundles["a"].folder.name == "a"
    assert "has the id 'a', which" in found.broken[0].reason


def test_files_hidden_folders_and_others_are_not_models(home, add):
    add(home / "user" / "good")
    shutil.copytree(home / "user" / "good", home / "user" / ".good.x1")
    (home / "user" / "pictures").mkdir()
    (home / "user" / "README.md").write_text("words")
    assert list(scan().bundles) == ["good"]
    assert scan().broken == ()


def test_a_named_folder_that_is_not_there_is_said(home, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(home / "absent"))
    assert scan().broken[0].reason == f"{home / 'absent'}, named in MEDSEG_MODELS, is not a folder"


def test_an_unknown_model_is_answered_with_the_known_ones(home, add):
    add(home / "user" / "a")
    add(home / "user" / "b")
    with pytest.raises(ModelNotFound, match=r"'c'; installed: a, b; add a bundle to .*user"):
        find_bundle("c")


def test_a_source_tree_uses_its_models_folder(checkout, monkeypatch):
    monkeypatch.delenv("MEDSEG_MODELS", raising=False)
    assert built_in_folder() == checkout / "Models"
    monkeypatch.delenv("MEDSEG_SHARED_MODELS", raising=False)
    assert search_path() == ((checkout / "Models", "built-in"), (user_folder(), "own"))


def test_every_model_that_ships_can_be_read(checkout):
    assert scan([checkout / "Models"]).broken == ()

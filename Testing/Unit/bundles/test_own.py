"""What a user may do to a model: to one of the user's own everything is kept, to others nothing is done."""

import shutil
from dataclasses import replace

import pytest

from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import find_bundle, scan
from medseg.bundles.own import remove_bundle, removed_bundles, require_own, restore_bundle
from medseg.spec.errors import JobError, OutputExists


@pytest.fixture
def mine(bundle, monkeypatch, tmp_path):
    """A whole model in the user's folder."""
    monkeypatch.setattr(catalogue_module, "built_in_folder", lambda: tmp_path / "built-in")
    monkeypatch.setattr(catalogue_module, "user_folder", lambda: tmp_path / "user")
    monkeypatch.delenv("MEDSEG_MODELS", raising=False)
    (tmp_path / "user").mkdir()
    bundle.folder.rename(tmp_path / "user" / bundle.manifest.model_id)
    return find_bundle(bundle.manifest.model_id)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_removed_model_is_out_of_the_list_whole_and_comes_back_when_it_is_restored(mine):
    before = contents(mine.folder)
    place = remove_bundle(mine)
    assert scan().bundles == {}
    assert scan().broken == ()
    assert contents(place) == before
    assert [each.folder for each in removed_bundles()] == [place]
    restored = restore_bundle(mine.manifest.model_id)
    assert find_bundle(mine.manifest.model_id) == mine
    assert restored.folder == mine.folder
    assert contents(mine.folder) == before
    assert removed_bundles() == ()


def test_the_latest_of_two_removed_models_comes_back_and_nothing_is_overwritten(mine):
    model_id, folder = mine.manifest.model_id, mine.folder
    first = remove_bundle(mine)
    shutil.copytree(first, folder)
    (folder / "later").write_text("this one")
    second = remove_bundle(find_bundle(model_id))
    (first.parent / "broken").mkdir()
    assert (restore_bundle(model_id).folder / "later").is_file()
    with pytest.raises(OutputExists, match=f"holds a model {model_id} again; remove that one first"):
        restore_bundle(model_id)
    assert contents(first)
    assert not second.exists()
    with pytest.raises(JobError, match=f"no model called 'nobody' was removed; removed ones: {model_id}"):
        restore_bundle("nobody")


def test_a_model_that_was_removed_before_under_the_same_name_is_kept_too(mine):
    first = remove_bundle(mine)
    before = contents(first)
    copied = mine.folder
    copied.mkdir()
    (copied / "other").write_text("another")
    second = remove_bundle(mine)
    assert second != first
    assert contents(first) == before
    assert (second / "other").read_text() == "another"


@pytest.mark.parametrize(
    ("origin", "words"), [("built-in", "comes with the program"), ("shared", "lies in a shared folder")]
)
def test_a_model_of_somebody_else_is_not_changed(mine, origin, words):
    theirs = replace(mine, origin=origin)
    for do in (require_own, remove_bundle):
        with pytest.raises(JobError, match=f"{words}.* and is not changed; copy its folder to your own models"):
            do(theirs)
    assert mine.folder.is_dir()


def test_a_model_that_the_search_path_names_by_itself_is_not_moved(mine, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(mine.folder))
    with pytest.raises(JobError, match="is named by itself as a folder of models"):
        remove_bundle(find_bundle(mine.manifest.model_id))
    assert mine.folder.is_dir()

"""What a user may do to a model: to one of the user's own everything is kept, to others nothing is done."""

from dataclasses import replace

import pytest

from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import find_bundle, scan
from medseg.bundles.own import remove_bundle, require_own
from medseg.spec.errors import JobError


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


def test_a_removed_model_is_out_of_the_list_whole_and_comes_back_when_it_is_moved_back(mine):
    before = contents(mine.folder)
    place = remove_bundle(mine)
    assert scan().bundles == {}
    assert scan().broken == ()
    assert contents(place) == before
    place.rename(mine.folder)
    assert find_bundle(mine.manifest.model_id) == mine


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

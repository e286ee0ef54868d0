"""``medseg models``: a model of one's own is labelled and removed, and each thing that changes is said."""

import io
import shutil

import pytest

from Integration.tiny import MODEL, write_tiny_bundle
from medseg.bundles.catalogue import built_in_folder, find_bundle
from medseg.cli.main import run


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder with one model of the user's own, and one of the department's."""
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MEDSEG_SHARED_MODELS", str(tmp_path / "department"))
    write_tiny_bundle(tmp_path / "models")
    (shipped,) = built_in_folder().glob("hippocampus-ultralight3d")
    shutil.copytree(shipped, tmp_path / "department" / "theirs")
    path = tmp_path / "department" / "theirs" / "configs" / "metadata.json"
    text = path.read_text(encoding="utf-8").replace('"hippocampus-ultralight3d"', '"theirs"')
    path.write_text(text, encoding="utf-8")
    return tmp_path / "models"


def said(capsys, *arguments, code=0):
    assert run(["models", *map(str, arguments)]) == code
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_the_list_and_the_places_say_whose_each_model_is(models, capsys):
    rows = {line.split("|")[1].strip(): line for line in said(capsys).splitlines() if line.count("|") > 5}
    assert "own" in rows[MODEL]
    assert "shared" in rows["theirs"]
    assert "built-in" in rows["hippocampus-ultralight3d"]
    places = said(capsys, "where")
    assert str(models) in places.replace("\n", "")
    assert said(capsys, "where", MODEL).strip() == str(models / MODEL)


def test_a_department_whose_folder_is_away_is_a_warning_and_the_list_stays(models, capsys, monkeypatch, tmp_path):
    assert models.is_dir()
    monkeypatch.setenv("MEDSEG_SHARED_MODELS", str(tmp_path / "away"))
    shown = said(capsys)
    assert MODEL in shown
    assert "warning: " in shown
    assert "away, a shared folder of models, is not there; check the path and the network drive" in shown
    assert "cannot be read" in said(capsys, "where")


def test_a_segment_gets_a_name_a_term_and_a_colour(models, capsys):
    first = find_bundle(MODEL).manifest.labels[0]
    shown = said(capsys, "label", MODEL, 1, "--name", "Left kidney", "--term", "kidney left", "--color", "#010203")
    assert f"1: name {first.name} -> Left kidney" in shown
    assert "-> SCT:64033007:Kidney, Left" in shown
    changed = find_bundle(MODEL).manifest.labels[0]
    assert (changed.name, changed.color, changed.type.value) == ("Left kidney", (1, 2, 3), "64033007")
    assert "Left kidney" in (models / MODEL / "docs" / "README.md").read_text(encoding="utf-8")
    again = said(capsys, "label", MODEL, 1, "--name", "Left kidney")
    assert again.strip() == "nothing to change"


def test_suggestions_are_shown_and_only_taken_when_asked_for(models, capsys):
    said(capsys, "label", MODEL, 1, "--name", "kidneys")
    before = (models / MODEL / "configs" / "metadata.json").read_bytes()
    assert "suggested term" in said(capsys, "label", MODEL)
    assert (models / MODEL / "configs" / "metadata.json").read_bytes() == before
    assert "-> SCT:64033007:Kidney" in said(capsys, "label", MODEL, "--suggested")
    assert find_bundle(MODEL).manifest.labels[0].type.value == "64033007"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((MODEL, "1"), "a change needs the VALUE of a segment and --name, --term or --color"),
        ((MODEL, "--name", "x"), "a change needs the VALUE of a segment"),
        ((MODEL, "1", "--name", "x", "--suggested"), "or --suggested alone"),
        ((MODEL, "77", "--name", "x"), "has no segment of value 77"),
        (("theirs", "1", "--name", "x"), "lies in a shared folder, which is only read"),
        (("hippocampus-ultralight3d", "1", "--name", "x"), "comes with the program"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("models")
def test_what_cannot_be_changed_is_one_line_and_exit_code_2(arguments, words, capsys):
    shown = said(capsys, "label", *arguments, code=2)
    assert words in shown
    assert len(shown.splitlines()) == 1


def test_a_model_is_removed_after_asking_and_lies_beside_the_others(models, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "was stopped" in said(capsys, "remove", MODEL, code=130)
    assert (models / MODEL).is_dir()
    shown = said(capsys, "remove", MODEL, "--yes")
    assert f"it lies in {models / '.removed' / MODEL}" in shown
    assert (models / ".removed" / MODEL / "models" / "model.safetensors").is_file()
    assert "no model is called" in said(capsys, "show", MODEL, code=2)
    assert f"{MODEL} is in the list again; it lies in {models / MODEL}" in said(capsys, "restore", MODEL)
    assert said(capsys, "show", MODEL)
    assert f"no model called '{MODEL}' was removed" in said(capsys, "restore", MODEL, code=2)


@pytest.mark.usefixtures("models")
def test_a_model_of_somebody_else_is_not_removed(capsys):
    assert "comes with the program" in said(capsys, "remove", "hippocampus-ultralight3d", "--yes", code=2)
    assert "lies in a shared folder" in said(capsys, "remove", "theirs", "--yes", code=2)


def test_terms_are_listed_or_those_like_a_name(capsys):
    every = said(capsys, "terms")
    assert all(word in every for word in ("liver", "SCT 10200004", "vertebra l1", "tumor"))
    assert "left kidney" in said(capsys, "terms", "left kidneys")
    assert "no term is like 'qqqq'" in said(capsys, "terms", "qqqq")

"""What a training can begin with, where its model goes and how many cases judge it."""

from pathlib import Path

import pytest

from medseg.bundles.catalogue import Bundle, user_folder
from medseg.bundles.label_specs import label_specs
from medseg.desktop.queue.training_choices import (
    FROM_NOTHING,
    chosen_start,
    held_out_count,
    held_out_words,
    model_folder,
    models_folder,
    start_choices,
)
from medseg.spec.errors import JobError, OutputExists
from small_manifest import small_manifest


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path))


@pytest.fixture
def bundles():
    labels = label_specs(["organ"])
    return {
        key: Bundle(Path(key), small_manifest(model_id=key, title=key.title(), labels=labels))
        for key in ("brain", "liver")
    }


def test_the_model_of_the_panel_comes_first_and_networks_last(bundles):
    choices = start_choices(bundles, bundles["liver"])
    assert [text for text, _value in choices[:2]] == ["Liver", "Brain"]
    assert len(choices) == 2 + len(FROM_NOTHING)
    assert chosen_start(choices[0][1], bundles) == (bundles["liver"], None)
    assert [chosen_start(value, bundles)[1] for _text, value in choices[2:]] == list(FROM_NOTHING)
    with pytest.raises(JobError, match="no longer installed"):
        chosen_start(choices[0][1], {})


def test_every_network_that_is_offered_can_be_built():
    pytest.importorskip("torch")
    from medseg.bundles.build import build_any
    from medseg.training.planning.network_plan import network_arguments

    for network in FROM_NOTHING:
        arguments = network_arguments(network, 1, 2, (32, 32, 32), (1.0, 1.0, 1.0))
        assert build_any(network, **arguments) is not None


def test_new_models_go_where_models_are_looked_for(tmp_path, monkeypatch):
    assert models_folder() == tmp_path
    (tmp_path / "configs").mkdir()  # a bundle, not a folder of bundles
    assert models_folder() == user_folder()
    monkeypatch.delenv("MEDSEG_MODELS")
    assert models_folder() == user_folder()


def test_a_name_becomes_a_folder_and_one_that_is_taken_is_refused(tmp_path):
    assert model_folder(" My Liver/Spleen 2 ", []) == tmp_path / "my-liver-spleen-2"
    with pytest.raises(OutputExists, match="There is a model liver already, and it is kept"):
        model_folder("Liver", ["liver"])
    (tmp_path / "half").mkdir()
    with pytest.raises(OutputExists, match="half"):
        model_folder("half", [])


@pytest.mark.parametrize("name", ["", "  ", "...", "肝脏"])
def test_a_name_that_makes_no_folder_is_refused(name):
    with pytest.raises(JobError, match="needs a name with Latin letters or digits"):
        model_folder(name, [])


def test_as_many_cases_are_held_out_as_the_training_holds_out():
    pytest.importorskip("torch")
    from medseg.training.planning.folds import DEFAULT_FOLDS, make_folds

    for count in range(2, 23):
        names = [f"case {number}" for number in range(count)]
        assert held_out_count(count) == len(make_folds(names, min(DEFAULT_FOLDS, count))[0]["val"])


def test_with_few_cases_it_is_said_what_the_score_is_worth():
    assert held_out_words(0) == ""
    assert "at least two" in held_out_words(1)
    assert held_out_words(4).startswith("3 of 4 cases are learnt from, 1 held out")
    assert "says little about other patients" in held_out_words(4)
    assert "says little" not in held_out_words(20)

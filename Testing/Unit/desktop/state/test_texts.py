"""The status line says something for every event, and progress only goes forward."""

import importlib.util
import inspect
import sys
import typing
from types import ModuleType

import pytest

from medseg.desktop.state import texts, translation
from medseg.desktop.state.texts import describe_event, percent_done, with_key
from medseg.spec.events import (
    CannotStart,
    Failed,
    Finished,
    ImportStage,
    Progress,
    Stage,
    Started,
    Stopped,
    Using,
    Warned,
)

IMPORT = typing.get_args(ImportStage)


@pytest.mark.parametrize("stages", [[each for each in typing.get_args(Stage) if each not in IMPORT[:-1]], IMPORT])
def test_progress_goes_from_nothing_to_all_and_never_back(stages):
    seen = [percent_done(Progress(stage, done, 4)) for stage in stages for done in range(5)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 100)


def test_a_stage_without_a_length_is_at_its_beginning():
    assert percent_done(Progress("windows", 0, 0)) == percent_done(Progress("windows", 0, 9))


@pytest.mark.parametrize("stage", typing.get_args(Stage))
def test_every_stage_has_a_name_for_people(stage):
    assert describe_event(Progress(stage, 1, 2)) != stage


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (Started("x"), "Started"),
        (Using("NVIDIA H100 (cuda)", 4, 512), "NVIDIA H100 (cuda) (4 threads, 512 MiB)"),
        (Using("cpu", 2, None), "cpu (2 threads)"),
        (Progress("windows", 1, 2, 12.4), "about 10 seconds left"),
        (Progress("windows", 1, 2, 3720.0), "about 1 hour left"),
        (Warned("spacing is odd"), "spacing is odd"),
        (Using("cpu", 2, None, "PyTorch 2.13.0 (float32)"), "Running on cpu by PyTorch 2.13.0 (float32) (2 threads)"),
        (Finished((), "cpu", 3.21), "Done in 3.2 s on cpu"),
        (Finished((), "cpu", 3.21, engine="OpenVINO 2026.4.1"), "Done in 3.2 s on cpu by OpenVINO 2026.4.1"),
        (Stopped(), "nothing was changed"),
        (Failed("the file is gone", is_bug=False), "the file is gone"),
        (Failed("KeyError", is_bug=True), "in the program: KeyError"),
    ],
)
def test_every_event_has_a_line(event, part):
    assert part in describe_event(event)


def test_that_an_interpreter_cannot_be_started_is_said_in_the_language_of_the_user(monkeypatch):
    event = CannotStart.of("/p", "weg")
    assert describe_event(event) == event.message
    german = {
        "{program} cannot be started ({reason}); choose a Python that has medsegattention": "{program}: {reason}!"
    }
    monkeypatch.setattr(texts, "_", lambda text: german.get(text, text))
    assert describe_event(event) == "/p: weg!"


def test_a_text_is_looked_up_by_the_file_it_stands_in_as_slicers_function_does(monkeypatch):
    i18n = ModuleType("slicer.i18n")
    i18n.tr = lambda _text: inspect.currentframe().f_back.f_code.co_filename
    monkeypatch.setitem(sys.modules, "slicer", ModuleType("slicer"))
    monkeypatch.setitem(sys.modules, "slicer.i18n", i18n)
    spec = importlib.util.spec_from_file_location("texts_in_slicer", translation.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module._("Apply") == __file__
    monkeypatch.setattr(texts, "_", module._)
    assert texts.describe_event(Stopped()) == texts.__file__


@pytest.mark.parametrize(
    ("name", "taken", "shown"),
    [
        ("T1", "", "T&1"),
        ("T1ce", "1", "T1ce"),  # every sign of it is taken
        ("FLAIR", "1", "F&LAIR"),  # not Slicer's File menu
        ("b = 0 & DWI", "", "b = &0 && DWI"),
        ("CT & PET", "", "CT && PET"),
    ],
)
def test_a_name_from_elsewhere_gets_a_key_that_is_free_and_keeps_its_ampersands(name, taken, shown):
    assert with_key(name, set(taken)) == shown

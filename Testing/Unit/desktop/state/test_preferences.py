"""Settings of a computer survive a restart, and whatever a settings file may hold in the end."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.desktop.state.preferences import (
    IDLE,
    IDLE_SECONDS,
    PYTHON,
    RESTART,
    WHEEL_FOLDER,
    WINDOWS,
    MemoryStore,
    Preferences,
)


class TextStore(MemoryStore):
    """As a settings file: everything comes back as text."""

    def setValue(self, key, value):  # noqa: N802 - Qt's name
        super().setValue(key, str(value))


def settings_file(folder):
    """What Slicer uses, except that PythonQt calls it."""
    core = pytest.importorskip("PySide6.QtCore", reason="needs Qt: pip install PySide6-Essentials")
    return core.QSettings(str(folder / "settings.ini"), core.QSettings.Format.IniFormat)


@pytest.fixture(params=["memory", "text", "Qt"])
def store(request, tmp_path):
    made = {"memory": lambda _: MemoryStore(), "text": lambda _: TextStore(), "Qt": settings_file}
    return made[request.param](tmp_path)


def test_a_settings_file_is_read_back_by_the_next_process(tmp_path):
    first = settings_file(tmp_path)
    before = Preferences(first)
    before.python, before.idle_seconds = "/a, b/python", 90.5
    before.remember_window("m", "NVIDIA, 24 GB", 0.5)
    before.ask_for_restart()
    first.sync()
    code = (
        "import sys; from PySide6.QtCore import QSettings; from medseg.desktop.state.preferences import Preferences\n"
        "p = Preferences(QSettings(sys.argv[1], QSettings.Format.IniFormat))\n"
        "print(p.python, p.idle_seconds, p.window_seconds('m', 'NVIDIA, 24 GB'), p.restart, sep='|')"
    )
    said = subprocess.run([sys.executable, "-c", code, first.fileName()], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "/a, b/python|90.5|0.5|done"


def test_nothing_is_set_at_first(store):
    preferences = Preferences(store)
    assert preferences.python is None
    assert preferences.wheel_folder is None
    assert preferences.idle_seconds == IDLE_SECONDS
    assert preferences.window_seconds("m", "cpu") is None
    assert preferences.restart == ""


def test_what_is_set_is_there_the_next_time(store):
    before = Preferences(store)
    before.python, before.wheel_folder, before.idle_seconds = " /opt/v/bin/python ", "D:/wheels, mine", 30
    before.remember_window("m", "NVIDIA RTX 4090, 24 GB", 0.125)
    before.remember_window("m", "cpu", 2.5)
    after = Preferences(store)
    assert (after.python, after.wheel_folder, after.idle_seconds) == ("/opt/v/bin/python", "D:/wheels, mine", 30.0)
    assert after.window_seconds("m", "NVIDIA RTX 4090, 24 GB") == 0.125
    assert after.window_seconds("m", "cpu") == 2.5
    assert after.window_seconds("other", "cpu") is None


def test_an_interpreter_can_be_taken_back(store):
    preferences = Preferences(store)
    preferences.python = "/opt/python"
    preferences.python = None
    assert Preferences(store).python is None


@pytest.mark.parametrize("garbage", [None, "", "nan", "inf", [], {}, object(), "[1]", True, "x" * 9])
def test_what_cannot_be_understood_counts_as_not_set(garbage):
    store = MemoryStore()
    for key in (IDLE, WINDOWS):
        store.setValue(key, garbage)
    preferences = Preferences(store)
    assert preferences.idle_seconds in (IDLE_SECONDS, 1.0)
    assert preferences.window_seconds("m", "cpu") is None
    preferences.remember_window("m", "cpu", 1.0)
    assert preferences.window_seconds("m", "cpu") == 1.0


@pytest.mark.parametrize("garbage", [None, [], {}, object(), True, "  "])
def test_a_path_that_is_none_counts_as_not_set(garbage):
    store = MemoryStore()
    for key in (PYTHON, WHEEL_FOLDER, RESTART):
        store.setValue(key, garbage)
    preferences = Preferences(store)
    assert (preferences.python, preferences.wheel_folder, preferences.restart) == (None, None, "")


@given(st.text())
def test_no_text_in_the_settings_makes_the_measurements_fail(text):
    store = MemoryStore()
    store.setValue(WINDOWS, text)
    assert Preferences(store).window_seconds("m", "cpu") is None


@pytest.mark.parametrize(("set_to", "read"), [(-5, 0.0), (1e9, 86400.0), (0, 0.0)])
def test_the_idle_time_stays_within_a_day(store, set_to, read):
    preferences = Preferences(store)
    preferences.idle_seconds = set_to
    assert preferences.idle_seconds == read


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_what_cannot_be_a_time_is_not_remembered(store, seconds):
    preferences = Preferences(store)
    preferences.remember_window("m", "cpu", seconds)
    assert preferences.window_seconds("m", "cpu") is None


def test_the_oldest_measurements_are_forgotten(store):
    preferences = Preferences(store)
    preferences.remember_window("first", "cpu", 1)
    for number in range(199):
        preferences.remember_window(f"m{number}", "cpu", 1)
    preferences.remember_window("first", "cpu", 2)  # now the latest
    preferences.remember_window("last", "cpu", 1)
    assert len(json.loads(store.value(WINDOWS, ""))) == 200
    assert preferences.window_seconds("m0", "cpu") is None
    assert preferences.window_seconds("first", "cpu") == 2


def test_a_restart_is_asked_for_until_there_was_one(store):
    preferences = Preferences(store)
    preferences.ask_for_restart()
    assert Preferences(store).restart == "needed"
    store.setValue(RESTART, f"{os.getpid()}-1")  # an earlier process of the same number
    assert Preferences(store).restart == "done"
    preferences.forget_restart()
    assert preferences.restart == ""


def test_listeners_hear_of_a_change_and_of_nothing_else(store):
    heard = []
    preferences = Preferences(store)
    preferences.listen(lambda: heard.append(preferences.python))
    preferences.python = "/a"
    preferences.python = "/a"
    preferences.remember_window("m", "cpu", 1)
    preferences.python = None
    assert heard == ["/a", None]

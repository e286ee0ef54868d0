"""Install and diagnostics: what is set there is kept for the computer, and who needs help gets a file to send."""

import os

import pytest

from medseg.desktop.panel.log_book import LogBook
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences

pytestmark = pytest.mark.usefixtures("slicer_app")


@pytest.fixture
def preferences():
    return Preferences()


@pytest.fixture
def log():
    book = LogBook()
    book.add("before the panel was there")
    return book


@pytest.fixture
def section(preferences, log):
    from medseg.desktop.panel.sections.diagnostics import DiagnosticsSection

    return DiagnosticsSection(
        preferences,
        log,
        lambda: "versions\nlog\n",
        check_packages=lambda: f"Ready: {preferences.python}",
    )


@pytest.fixture
def named(section):
    """The controls by their names."""
    import slicer

    return slicer.util.childWidgetVariables(section.widget)


def test_at_first_nothing_differs_from_the_default(section, named):
    assert section.differences() == []
    assert named.state.text == "Slicer's own; not checked yet."
    assert named.idle.value == 5


def test_an_interpreter_is_kept_and_named_in_the_title(section, named, preferences):
    named.python.currentPath = "/opt/venv/bin/python"
    assert preferences.python == "/opt/venv/bin/python"
    assert section.differences() == ["Python"]
    named.check.click()
    assert named.state.text == "Ready: /opt/venv/bin/python"
    named.python.currentPath = ""
    assert preferences.python is None
    assert named.state.text == "Slicer's own; not checked yet."


def test_a_wheel_folder_and_a_time_are_kept(section, named, preferences):
    named.wheelFolder.currentPath = "/media/stick/wheels"
    named.idle.value = 0
    assert (preferences.wheel_folder, preferences.idle_seconds) == ("/media/stick/wheels", 0.0)
    named.idle.value = 30
    assert preferences.idle_seconds == 1800.0
    assert section.differences() == ["Wheel folder", "Stays ready for"]


@pytest.mark.parametrize("name", ["python", "wheel_folder"])
def test_the_first_choice_on_a_fresh_profile_is_kept_although_the_panel_is_shown_anew_at_once(
    section, named, preferences, name
):
    preferences.listen(section.refresh)  # as the panel does
    getattr(named, {"python": "python", "wheel_folder": "wheelFolder"}[name]).currentPath = "/media/stick/choice"
    assert getattr(preferences, name) == "/media/stick/choice"
    assert section.differences() == [{"python": "Python", "wheel_folder": "Wheel folder"}[name]]


def test_what_is_set_elsewhere_is_shown_and_showing_stores_nothing(section, named, preferences):
    preferences.python, preferences.idle_seconds = "/elsewhere/python", 90.0
    section.refresh()
    assert named.python.currentPath == "/elsewhere/python"
    assert named.idle.value == 2
    assert preferences.idle_seconds == 90.0  # not the 120 of the control


def test_the_log_is_shown_from_its_beginning_and_grows(named, log):
    log.add("a new line")
    assert named.log.toPlainText() == "before the panel was there\na new line"
    assert named.log.readOnly


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="this system knows no niceness")
def test_a_low_priority_that_the_worker_inherits_is_said_with_the_remedy(section, named, monkeypatch):
    assert named.priority.isHidden() == (os.getpriority(os.PRIO_PROCESS, 0) <= 0)
    monkeypatch.setattr(os, "getpriority", lambda _which, _who: 19)
    section.refresh()
    assert not named.priority.isHidden()
    assert "low priority (nice 19)" in named.priority.text
    assert named.priority.text.endswith(f"renice -n 0 -p {os.getpid()}")


def test_copying_takes_the_whole_log_with_what_is_counted(named, log):
    import qt

    log.add("again")
    log.add("again")
    named.copy.click()
    assert qt.QApplication.clipboard().text() == log.text()
    assert log.text().endswith("1 more time)")
    assert named.note.text == "The log was copied."


def test_the_log_is_saved_where_the_user_says(named, log, answers, tmp_path):
    answers.queue(str(tmp_path / "log.txt"))
    named.save.click()
    assert (tmp_path / "log.txt").read_text() == log.text() + "\n"
    assert str(tmp_path / "log.txt") in named.note.text


def test_a_support_file_is_written_and_nothing_is_sent(named, answers, tmp_path):
    answers.queue(str(tmp_path / "report"))
    named.support.click()
    assert (tmp_path / "report.txt").read_text() == "versions\nlog\n"
    assert named.note.text.endswith("report.txt; nothing was sent.")
    assert answers.opened == []


def test_a_file_the_dialog_did_not_ask_about_is_not_replaced(named, answers, tmp_path):
    (tmp_path / "report.txt").write_text("mine")
    answers.queue(str(tmp_path / "report"))
    named.support.click()
    assert (tmp_path / "report.txt").read_text() == "mine"
    assert "is kept" in named.note.text


def test_a_dialog_that_is_closed_writes_nothing(section, named, answers, tmp_path):
    answers.queue("")
    named.save.click()
    assert list(tmp_path.iterdir()) == []
    assert not named.note.isVisibleTo(section.widget)


def test_a_place_that_cannot_be_written_is_told(named, answers, tmp_path):
    answers.queue(str(tmp_path / "none" / "log.txt"))
    named.save.click()
    assert "does not exist; create it first" in named.note.text


def test_without_packages_to_look_for_it_reports_versions_and_the_log(scene, preferences, answers, tmp_path):
    import slicer

    from medseg.desktop.panel.sections.diagnostics import DiagnosticsSection
    from medseg.desktop.panel.session import Session

    session = Session(Parameters(scene), preferences, {})
    session.log.add("before the panel was there")
    section = DiagnosticsSection(preferences, session.log, lambda: session.report((), ""))
    ui = slicer.util.childWidgetVariables(section.widget)
    assert not ui.check.isVisibleTo(section.widget)
    answers.queue(str(tmp_path / "support.txt"))
    ui.support.click()
    report = (tmp_path / "support.txt").read_text()
    assert "before the panel was there" in report
    assert "numpy" in report


def test_every_control_can_be_reached_and_named(named):
    for name in ("python", "wheelFolder", "idle", "check", "log", "copy", "save", "support"):
        control = getattr(named, name)
        assert control.accessibleName
        assert control.toolTip
    letters = [
        text[text.index("&") + 1].lower()
        for text in (
            str(getattr(named, name).text)
            for name in ("pythonLabel", "wheelFolderLabel", "idleLabel", "check", "logLabel", "copy", "save", "support")
        )
    ]
    assert len(set(letters)) == len(letters), letters

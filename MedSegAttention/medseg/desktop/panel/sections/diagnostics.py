"""The part of the panel for who installs and who asks for help: packages, another Python, the log, a support file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

from medseg.desktop.panel.controls import Section, Showing, load_ui, show_text
from medseg.desktop.panel.log_book import LIMIT, LogBook
from medseg.desktop.panel.support import write_support
from medseg.desktop.state.preferences import IDLE_SECONDS, Preferences
from medseg.desktop.state.texts import _
from medseg.spec.errors import MedSegError
from medseg.spec.places import home_folder

_MINUTE = 60.0


class DiagnosticsSection(Section):
    """Shows what is installed and what happened; changes what belongs to the computer, not to the scene.

    Args:
        preferences: hold the choices.
        log: what it shows.
        report: makes the text of a support file.
        check_packages: says in a line whether everything is there; None: there is no check, and no button.
    """

    def __init__(
        self,
        preferences: Preferences,
        log: LogBook,
        report: Callable[[], str],
        check_packages: Callable[[], str] | None = None,
    ) -> None:
        self.title = _("Install and diagnostics")
        self._preferences = preferences
        self._log = log
        self._check_packages = check_packages
        self._report = report
        self._showing = Showing()
        self._checked_for: tuple[str | None, str | None] | None = None  # Python and wheel folder
        self.widget, self._ui = load_ui("Diagnostics")
        self._ui.log.setMaximumBlockCount(LIMIT)
        for line in log.lines():
            self._ui.log.appendPlainText(line)
        log.listen(self._ui.log.appendPlainText)
        for part in (self._ui.check, self._ui.state):
            part.setVisible(check_packages is not None)
        self._ui.note.setVisible(False)
        ui = self._ui
        for edit in (ui.python, ui.wheelFolder):
            edit.connect("currentPathChanged(QString)", lambda _path: self._store())
            edit.connect("validInputChanged(bool)", lambda _is_valid: self._store())  # an emptied line may be invalid
        ui.idle.connect("valueChanged(int)", lambda _minutes: self._store_idle())
        ui.check.connect("clicked()", self.check)
        ui.copy.connect("clicked()", self._copy)
        save_log, save_support = _("Save the log"), _("Save a support file")
        ui.save.connect("clicked()", lambda: self._write(save_log, "medseg-log.txt", lambda: self._log.text() + "\n"))
        ui.support.connect("clicked()", lambda: self._write(save_support, "medseg-support.txt", self._report))
        self.refresh()

    def refresh(self) -> None:
        """Show what the preferences hold."""
        with self._showing:
            _show_path(self._ui.python, self._preferences.python)
            _show_path(self._ui.wheelFolder, self._preferences.wheel_folder)
            idle = self._preferences.idle_seconds
            self._ui.idle.setValue(max(1, round(idle / _MINUTE)) if idle > 0 else 0)
        if self._checked_for != (self._preferences.python, self._preferences.wheel_folder):
            own = self._preferences.python is None
            self._ui.state.setText(_("Slicer's own; not checked yet.") if own else _("Not checked yet."))

    def differences(self) -> list[str]:
        """Names of the controls that differ from the default."""
        preferences = self._preferences
        differing = (
            (self._ui.python, preferences.python is not None),
            (self._ui.wheelFolder, preferences.wheel_folder is not None),
            (self._ui.idle, preferences.idle_seconds != IDLE_SECONDS),
        )
        return [str(control.accessibleName) for control, differs in differing if differs]

    def check(self) -> None:
        """Look again what is installed, in Slicer's Python or in the chosen one."""
        self._store()
        if self._check_packages is None:
            return
        self._ui.state.setText(_("Checking..."))
        self._ui.state.repaint()  # a Python on a network drive takes a while to start
        self._ui.state.setText(self._check_packages())
        self._checked_for = (self._preferences.python, self._preferences.wheel_folder)

    def _store(self) -> None:
        if self._showing:
            return
        self._preferences.python = str(self._ui.python.currentPath)
        self._preferences.wheel_folder = str(self._ui.wheelFolder.currentPath)
        self.refresh()

    def _store_idle(self) -> None:
        if not self._showing:
            self._preferences.idle_seconds = int(self._ui.idle.value) * _MINUTE

    def _copy(self) -> None:
        qt.QApplication.clipboard().setText(self._log.text())
        self._say(_("The log was copied."))

    def _write(self, title: str, name: str, text: Callable[[], str]) -> None:
        """Ask where, and write; the dialog has asked already whether a file may be replaced."""
        start = str(home_folder() / name)
        chosen = str(qt.QFileDialog.getSaveFileName(self.widget, title, start, _("Text") + " (*.txt)") or "")
        if not chosen:
            return
        # Not every system's dialog adds the ending; what it did not ask about is not replaced.
        path = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(".txt")
        try:
            write_support(path, text(), overwrite=path == Path(chosen))
        except (MedSegError, OSError) as error:
            self._say(str(error))
        else:
            self._say(_("Saved as {path}; nothing was sent.").format(path=path))

    def _say(self, text: str) -> None:
        show_text(self._ui.note, text)


def _show_path(edit: Any, path: str | None) -> None:
    if str(edit.currentPath).strip() != (path or ""):  # a blank that is being typed stays
        edit.currentPath = path or ""

"""Dialogs that would wait for a user: each takes the answer that the test queued, and fails where there is none."""
# ruff: noqa: N815 - Qt's and Slicer's names

from collections import deque

from PySide6 import QtCore, QtGui, QtWidgets

from stand_in.pythonqt import wrapped


class Answers:
    """What the user will answer, in order, and what the user was asked.

    Example:
        >>> answers = Answers()
        >>> answers.queue("OK", "/tmp/report.csv")
        >>> answers.take("Save?")
        'OK'
        >>> answers.asked
        ['Save?']
    """

    def __init__(self):
        self.asked: list[str] = []
        self.opened: list[str] = []  # addresses given to the desktop
        self._next = deque()

    def queue(self, *answers):
        """Answers to come: a button's name (``"Ok"``, ``"Cancel"``, ``"Yes"`` ...), a path, a text."""
        self._next.extend(answers)

    @property
    def left(self):
        """Answers nobody asked for yet."""
        return list(self._next)

    def take(self, question):
        self.asked.append(question)
        if not self._next:
            msg = f"a dialog nobody expected: {question!r}; queue an answer before"
            raise AssertionError(msg)
        return self._next.popleft()


def dialog_classes(answers):
    """QDialog, QMessageBox, QFileDialog, QInputDialog, QDesktopServices and ctkMessageBox, by name."""
    made = {"QDialog": _dialog(answers), "QMessageBox": _message_box(answers), "ctkMessageBox": _message_box(answers)}
    made["ctkMessageBox"].__name__ = "ctkMessageBox"
    made["QFileDialog"] = _file_dialog(answers)
    made["QInputDialog"] = _input_dialog(answers)
    services = {"_opened": answers.opened, "openUrl": staticmethod(lambda url: _open(answers, url))}
    made["QDesktopServices"] = type("QDesktopServices", (QtGui.QDesktopServices,), services)
    return made


def _open(answers, url):
    answers.opened.append(url.toString())
    return True


def _dialog(answers):
    class QDialog(wrapped(QtWidgets.QDialog)):
        _is_cpp = True

        def exec(self):
            accepted = answers.take(self.windowTitle) in ("Ok", "OK", True)
            self.accept() if accepted else self.reject()
            return int(accepted)

        exec_ = exec  # noqa: A003

    return QDialog


def _message_box(answers):
    base = wrapped(QtWidgets.QMessageBox)
    texts = QtCore.Property(str, lambda _self: "", lambda _self, _text: None)

    def ask(kind):
        def show(_parent, title, text, *_buttons):
            return _button(answers.take(f"{title}: {text}" if title else text))

        show.__name__ = kind
        return staticmethod(show)

    class QMessageBox(base):
        _is_cpp = True
        dontShowAgainSettingsKey = texts

        def exec(self):
            return _button(answers.take(self.text))

        exec_ = exec  # noqa: A003
        question, information, warning, critical = map(ask, ("question", "information", "warning", "critical"))

    return QMessageBox


def _button(answer):
    if isinstance(answer, str):
        return getattr(QtWidgets.QMessageBox.StandardButton, {"OK": "Ok"}.get(answer, answer))
    return answer


def _file_dialog(answers):
    """PythonQt's static functions give the path alone; an empty text is a dialog that was cancelled."""

    def ask(wanted):
        def choose(_parent=None, caption="", directory="", *_rest):
            return wanted(answers.take(caption or directory))

        return staticmethod(choose)

    class QFileDialog(_dialog(answers)):
        _is_cpp = True
        getOpenFileName, getSaveFileName, getExistingDirectory = (ask(str) for _ in range(3))
        getOpenFileNames = ask(tuple)
        ShowDirsOnly = QtWidgets.QFileDialog.Option.ShowDirsOnly

    return QFileDialog


def _input_dialog(answers):
    def ask(_parent, title, label, *_rest):
        return answers.take(f"{title}: {label}")

    class QInputDialog(_dialog(answers)):
        _is_cpp = True
        getText = getItem = getInt = getDouble = staticmethod(ask)

    return QInputDialog

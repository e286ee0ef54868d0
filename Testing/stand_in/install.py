"""Puts the stand-in where scripts look for Slicer's Qt side, and takes it away again."""

import ctypes
import sys
from contextlib import contextmanager
from types import ModuleType

from PySide6 import QtCore, QtWidgets

from stand_in import (
    ctk_folding,
    ctk_inputs,
    ctk_numbers,
    qmrml_node_combo,
    qmrml_segments,
    qmrml_widgets,
    scripted_module,
)
from stand_in.dialogs import dialog_classes
from stand_in.qt_module import QtModule
from stand_in.screenshot import ensure_font
from stand_in.ui_loader import make_loader

_SOURCES = (ctk_folding, ctk_inputs, ctk_numbers, qmrml_node_combo, qmrml_segments, qmrml_widgets)
_NOISE = ("propagateSizeHints", "QFont")  # of drawing offscreen
_OURS = "medseg.desktop."
RESERVE = 2**40  # references of None


def keep_none():
    """Give None more references than any run takes away.

    PySide6 6.12 takes one at each call that returns None (``itemData``, ``setParent``, ``currentItem``). Before
    Python 3.12, where None cannot end, a long run of tests would: "Fatal Python error: none_dealloc".
    """
    if sys.version_info < (3, 12) and sys.getrefcount(None) < RESERVE // 2:
        ctypes.c_ssize_t.from_address(id(None)).value += RESERVE  # where CPython counts them


def application():
    """The one QApplication of the process, offscreen, with a font."""
    keep_none()
    made = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    ensure_font()
    return made


def install_qt(monkeypatch, answers):
    """Make ``import qt`` and ``import ctk`` work until the test ends; dialogs take the answers.

    Returns:
        The module ``qt``, the classes of ctk and qMRML by name, and what to call afterwards.
    """
    dialogs = dialog_classes(answers)
    custom = {
        name: kind
        for source in _SOURCES
        for name, kind in vars(source).items()
        if isinstance(kind, type) and name.startswith(("ctk", "qMRML", "qSlicer"))
    }
    custom["ctkMessageBox"] = dialogs.pop("ctkMessageBox")
    qt, ctk = QtModule(dialogs), ModuleType("ctk")
    qt.QUiLoader = make_loader(qt, custom)
    ctk.__dict__.update({name: kind for name, kind in custom.items() if name.startswith("ctk")})
    monkeypatch.setitem(sys.modules, "qt", qt)
    monkeypatch.setitem(sys.modules, "ctk", ctk)
    return qt, custom, _forgetting()


@contextmanager
def warnings_of_qt(found):
    """Add what Qt warns of to a list, such as a property that a ``.ui`` file gives a value of the wrong type."""

    def hear(kind, _where, text):
        if kind != QtCore.QtMsgType.QtDebugMsg and not any(each in text for each in _NOISE):
            found.append(f"Qt: {text}")

    before = QtCore.qInstallMessageHandler(hear)
    try:
        yield
    finally:
        QtCore.qInstallMessageHandler(before)


def install_slicer(monkeypatch, qt, custom, folder):
    """Make ``slicer.app``, ``.mrmlScene``, ``.modules``, ``.i18n``, ``.ScriptedLoadableModule`` and widgets work.

    Returns:
        The application; close it when the test ends.
    """
    import slicer

    from stand_in.application import Application

    app = Application(slicer, qt, folder)
    scripted_module.install(monkeypatch)
    for name, value in {
        "app": app,
        "mrmlScene": app.scene,
        "modules": app.modules(),
        **{name: kind for name, kind in custom.items() if name.startswith("q")},
    }.items():
        monkeypatch.setattr(slicer, name, value, raising=False)
    return app


def _forgetting():
    """Undo imports: a module of the panel that met ``qt`` in one test is imported anew in the next."""
    before = {name for name in sys.modules if name.startswith(_OURS)}

    def forget():
        for name in [each for each in sys.modules if each.startswith(_OURS) and each not in before]:
            del sys.modules[name]

    return forget

"""The module ``qt``: every class of QtCore, QtGui and QtWidgets under one roof, as PythonQt has it."""
# ruff: noqa: N815 - Qt's and Slicer's names

from types import ModuleType

from PySide6 import QtCore, QtGui, QtWidgets

from stand_in.pythonqt import adapted, wrapped

_PLAIN = {"QCoreApplication", "QGuiApplication", "QObject", "QFile", "QIODevice"}


class QtModule(ModuleType):
    """Makes each class when it is asked for; a name that Qt has not is an AttributeError."""

    def __init__(self, own_classes):
        super().__init__("qt", __doc__)
        self.__dict__.update(own_classes)
        self.Signal, self.Slot, self.Property = QtCore.Signal, QtCore.Slot, QtCore.Property
        self.QTimer, self.QApplication = _timer(), _application()

    def __getattr__(self, name):
        if name.startswith("__") or name == "QUiLoader":
            raise AttributeError(name)
        for module in (QtCore, QtGui, QtWidgets):
            kind = getattr(module, name, None)
            if kind is not None:
                break
        else:
            msg = f"Qt has no {name}"
            raise AttributeError(msg)
        if isinstance(kind, type) and name not in _PLAIN:
            kind = wrapped(kind)
        self.__dict__[name] = kind
        return kind


def _timer():
    class QTimer(wrapped(QtCore.QTimer)):
        _is_cpp = True
        singleShot = staticmethod(QtCore.QTimer.singleShot)

    return QTimer


def _application():
    """Only the functions of the class: the one object is Slicer's own."""

    class QApplication(QtWidgets.QApplication):
        clipboard = staticmethod(lambda: adapted(QtWidgets.QApplication.clipboard()))
        instance = staticmethod(lambda: adapted(QtWidgets.QApplication.instance()))
        focusWidget = staticmethod(lambda: adapted(QtWidgets.QApplication.focusWidget()))

    return QApplication

"""One turn of Qt's event loop."""

from PySide6 import QtCore


def turn():
    """Handle what waits. ``QApplication.processEvents`` of PySide6 6.12 takes a reference of None away at each call."""
    QtCore.QEventLoop().processEvents()

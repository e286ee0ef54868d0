"""Pictures of widgets, drawn offscreen; Qt brings no fonts, so they come from the system."""

import sys
from pathlib import Path

from PySide6 import QtGui, QtWidgets

from stand_in.events import turn

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts", "C:/Windows/Fonts")
_NAMES = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf")


def find_font():
    """A sans serif font file of the system, or the one that Matplotlib brings; None where there is none."""
    folders = [Path(each) for each in _FOLDERS]
    folders += [Path(each) / "matplotlib/mpl-data/fonts/ttf" for each in sys.path]
    for folder in folders:
        for name in _NAMES:
            found = next(iter(folder.rglob(name)), None) if folder.is_dir() else None
            if found is not None:
                return found
    return None


def has_font():
    """Whether text is drawn; Qt names fonts even where it has no file of any."""
    return QtGui.QRawFont.fromFont(QtWidgets.QApplication.font()).familyName() != ""


def ensure_font():
    """Give Qt a font where the system's own way of finding fonts gives it none."""
    if not has_font():
        found = find_font()
        if found is not None:
            number = QtGui.QFontDatabase.addApplicationFont(str(found))
            QtWidgets.QApplication.setFont(QtGui.QFont(QtGui.QFontDatabase.applicationFontFamilies(number)[0], 9))


def grab(widget, path, width, height=None):
    """Save a picture of a widget.

    Args:
        widget: any.
        path: of the PNG.
        width: pixels.
        height: pixels; None: as high as it wants to be at that width.

    Returns:
        The picture, a QImage.
    """
    if not has_font():
        msg = "no font is installed, so no text would be drawn; install one, for example the package fonts-dejavu-core"
        raise RuntimeError(msg)
    was_visible = QtWidgets.QWidget.isVisible(widget)
    QtWidgets.QWidget.resize(widget, width, height or 10)
    QtWidgets.QWidget.show(widget)
    turn()
    if height is None:
        QtWidgets.QWidget.resize(widget, width, QtWidgets.QWidget.sizeHint(widget).height())
        turn()
    picture = QtWidgets.QWidget.grab(widget).toImage()
    if not was_visible:
        QtWidgets.QWidget.hide(widget)
    assert picture.save(str(path)), f"{path} cannot be written"
    return picture

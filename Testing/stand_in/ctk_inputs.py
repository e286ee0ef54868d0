"""ctk widgets for paths, searches and menus."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtWidgets

from stand_in.pythonqt import wrapped
from stand_in.widgets import properties


@properties(
    currentPath="",
    nameFilters=[],
    filters=0,
    label="",
    settingKey="",
    showBrowseButton=True,
    showHistoryButton=True,
    minimumContentsLength=0,
)
class ctkPathLineEdit(wrapped(QtWidgets.QWidget)):
    """A path that can be typed, with a button that opens a file dialog.

    As in the original an empty line is not valid, and a change to what is not valid is told by ``validInputChanged``
    alone. There is no history, and name filters are not applied.
    """

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    Dirs, Files, Readable, Writable, Executable = 0x001, 0x002, 0x010, 0x020, 0x040

    def __init__(self, parent=None):
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.__dict__["_line"], self.__dict__["_browse"] = QtWidgets.QLineEdit(self), QtWidgets.QToolButton(self)
        self._browse.setText("...")
        row.addWidget(self._line)
        row.addWidget(self._browse)
        self.setFocusProxy(self._line)
        self._line.textChanged.connect(self._typed)
        self._browse.clicked.connect(lambda: self.browse())

    def _typed(self, text):
        self.currentPath = text

    def _after_currentPath(self):
        if self._line.text() != self.currentPath:
            self._line.setText(self.currentPath)
        was_valid, is_valid = self.__dict__.get("_is_valid", False), bool(self.currentPath)
        self.__dict__["_is_valid"] = is_valid
        if is_valid:
            self.currentPathChanged.emit(self.currentPath)
        if is_valid != was_valid:
            self.validInputChanged.emit(is_valid)

    def _after_showBrowseButton(self):
        self._browse.setVisible(self.showBrowseButton)

    def addCurrentPathToHistory(self):
        """Remember the path between sessions; nothing here."""

    def browse(self):
        import qt

        dialog, ask = qt.QFileDialog, qt.QFileDialog.getExistingDirectory
        if self.filters & self.Files:
            ask = dialog.getSaveFileName if self.filters & self.Writable else dialog.getOpenFileName
        chosen = ask(self, self.label, self.currentPath)
        if chosen:
            self.currentPath = chosen


@properties(showSearchIcon=False)
class ctkSearchBox(wrapped(QtWidgets.QLineEdit)):
    """A line to type a search into."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.placeholderText = "Search..."

    def setAlwaysShowClearIcon(self, is_shown):
        self.setClearButtonEnabled(is_shown)


@properties(defaultText="", forceDefault=False)
class ctkComboBox(wrapped(QtWidgets.QComboBox)):
    """A combo box with a text for no choice."""

    def _after_defaultText(self):
        self.placeholderText = self.defaultText


class ctkMenuButton(wrapped(QtWidgets.QPushButton)):
    """A button with a menu beside it."""

    _is_cpp = True


class ctkCheckablePushButton(wrapped(QtWidgets.QPushButton)):
    """A button with a check box in it."""

    _is_cpp = True
    checkBoxToggled = QtCore.Signal(bool)


class ctkFittedTextBrowser(wrapped(QtWidgets.QTextBrowser)):
    """A text as high as it needs."""

    _is_cpp = True


class ctkCheckBox(wrapped(QtWidgets.QCheckBox)):
    """A check box."""

    _is_cpp = True

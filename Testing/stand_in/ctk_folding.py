"""ctk widgets with a title that fold their children away."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtWidgets

from stand_in.pythonqt import wrapped
from stand_in.widgets import properties

_ANY_HEIGHT = 16777215  # Qt's QWIDGETSIZE_MAX


class Folding:
    """Hides the children while collapsed; one that is shown meanwhile is shown when it unfolds."""

    def _fold(self, is_collapsed):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._fold_one(child, is_collapsed)
        self.updateGeometry()

    def _fold_one(self, child, is_collapsed):
        self.__dict__["_is_folding"] = True
        if is_collapsed:
            child.setProperty("shown_when_unfolded", not child.isHidden())
            child.setVisible(False)
        elif child.property("shown_when_unfolded") is not False:
            child.setVisible(True)
        self.__dict__["_is_folding"] = False

    def childEvent(self, event):
        child = event.child()
        if event.type() == QtCore.QEvent.Type.ChildAdded and isinstance(child, QtWidgets.QWidget):
            child.installEventFilter(self)
            if self.collapsed:
                self._fold_one(child, True)
        super().childEvent(event)

    def eventFilter(self, child, event):
        if not self.__dict__.get("_is_folding") and self.collapsed:
            if event.type() == QtCore.QEvent.Type.ShowToParent:
                child.setProperty("shown_when_unfolded", True)
                self.__dict__["_is_folding"] = True
                child.setVisible(False)
                self.__dict__["_is_folding"] = False
            elif event.type() == QtCore.QEvent.Type.HideToParent:
                child.setProperty("shown_when_unfolded", False)
        return False


@properties(collapsed=False, collapsedHeight=10)
class ctkCollapsibleButton(Folding, wrapped(QtWidgets.QAbstractButton)):
    """A button as wide as its column, with children below it; checked while they are shown."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text=None, parent=None):
        title, owner = (text, parent) if isinstance(text, str) else ("", text if parent is None else parent)
        super().__init__(owner)
        self.text = title
        self.checkable = self.checked = True
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._head(), 0, 0)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.connect("toggled(bool)", self._toggled)

    def _head(self):
        return self.fontMetrics().height() + 10

    def _toggled(self, is_checked):
        self.collapsed = not is_checked

    def _after_collapsed(self):
        self.checked = not self.collapsed
        self._fold(self.collapsed)
        self.setMaximumHeight(self.sizeHint.height() if self.collapsed else _ANY_HEIGHT)
        self.contentsCollapsed.emit(self.collapsed)

    def hitButton(self, point):
        return point.y() <= self._head()

    def sizeHint(self):
        folded = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 40, self._head() + self.collapsedHeight)
        layout = QtWidgets.QWidget.layout(self)
        return folded if layout is None or self.collapsed else layout.totalSizeHint().expandedTo(folded)

    def minimumSizeHint(self):
        layout = QtWidgets.QWidget.layout(self)
        if layout is None or self.collapsed:
            return QtCore.QSize(0, self._head() + self.collapsedHeight * self.collapsed)
        return layout.totalMinimumSize()

    def paintEvent(self, _event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), self._head())
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option)
        element = QtWidgets.QStyle.PrimitiveElement
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(8, self._head() // 2 - 5, 10, 10)
        kind = element.PE_IndicatorArrowRight if self.collapsed else element.PE_IndicatorArrowDown
        painter.drawPrimitive(kind, arrow)
        place = option.rect.adjusted(26, 0, -4, 0)
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.TextFlag.TextShowMnemonic
        painter.drawItemText(place, int(flags), option.palette, self.enabled, self.text)


@properties(collapsed=False, collapsedHeight=14)
class ctkCollapsibleGroupBox(Folding, wrapped(QtWidgets.QGroupBox)):
    """A group box whose check mark is a fold."""

    def __init__(self, title=None, parent=None):
        text, owner = (title, parent) if isinstance(title, str) else ("", title if parent is None else parent)
        super().__init__(text, owner)
        self.checkable = self.checked = True
        self.connect("toggled(bool)", self._toggled)

    def _toggled(self, is_checked):
        self.collapsed = not is_checked
        QtWidgets.QWidget.setEnabled(self, True)

    def _after_collapsed(self):
        self.checked = not self.collapsed
        self._fold(self.collapsed)

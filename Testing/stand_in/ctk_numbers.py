"""ctk widgets that hold numbers."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtWidgets

from stand_in.pythonqt import wrapped
from stand_in.widgets import properties

_STEPS = 1000  # of the slider that is drawn; the number itself is not rounded to them


@properties(minimum=0.0, maximum=99.0, singleStep=1.0, decimals=2)
class _Number(wrapped(QtWidgets.QWidget)):
    """A number within a range."""

    valueChanged = QtCore.Signal(float)
    _cpp_signals = {"valueChanged(double)": "valueChanged"}  # noqa: RUF012

    def setValue(self, value):
        kept = min(max(float(value), self.minimum), self.maximum)
        if kept != self._number():
            self.__dict__["_value"] = kept
            self._show()
            self.valueChanged.emit(kept)

    def _number(self):
        return self.__dict__.get("_value", 0.0)

    value = QtCore.Property(float, _number, setValue)

    def setRange(self, low, high):
        self.minimum, self.maximum = low, high

    def _after_minimum(self):
        self.maximum = max(self.maximum, self.minimum)
        self._range_changed()

    def _after_maximum(self):
        self.minimum = min(self.maximum, self.minimum)
        self._range_changed()

    def _range_changed(self):
        self._show()
        self.setValue(self._number())

    def _after_decimals(self):
        self._show()

    def _after_singleStep(self):
        self._show()

    def _show(self):
        """Draw the number; nothing here."""


class _Slider(QtWidgets.QSlider):
    """A slider drawn for a number; moving it by mouse or key sets the number."""

    def __init__(self, owner, orientation=QtCore.Qt.Orientation.Horizontal):
        super().__init__(orientation, owner)
        self._owner = owner
        self.setRange(0, _STEPS)
        self.valueChanged.connect(self._moved)

    def _moved(self, step):
        owner = self._owner
        owner.value = owner.minimum + (owner.maximum - owner.minimum) * step / _STEPS

    def show_number(self):
        owner = self._owner
        extent = owner.maximum - owner.minimum or 1.0
        self.blockSignals(True)
        self.setValue(round((owner.value - owner.minimum) / extent * _STEPS))
        self.blockSignals(False)


@properties(orientation=1, invertedAppearance=False, tickInterval=0.0, pageStep=10.0, tracking=True)
class ctkDoubleSlider(_Number):
    """A slider over floating point numbers."""

    def __init__(self, *arguments):
        super().__init__(next((each for each in arguments if isinstance(each, QtWidgets.QWidget)), None))
        self.__dict__["_slider"] = _Slider(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        self.setFocusProxy(self._slider)

    def _show(self):
        self._slider.show_number()


@properties(
    prefix="", suffix="", tickInterval=0.0, pageStep=10.0, spinBoxVisible=True, popupSlider=False, tracking=True
)
class ctkSliderWidget(_Number):
    """A slider with a spin box beside it; nobody drags it, so ``valueIsChanging`` is never emitted."""

    valueIsChanging = QtCore.Signal(float)
    _cpp_signals = {**_Number._cpp_signals, "valueIsChanging(double)": "valueIsChanging"}  # noqa: RUF012

    def __init__(self, parent=None):
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.__dict__["_slider"] = _Slider(self)
        self.__dict__["_spin"] = QtWidgets.QDoubleSpinBox(self)
        row.addWidget(self._slider)
        row.addWidget(self._spin)
        self.setFocusProxy(self._spin)
        self._spin.valueChanged.connect(self.setValue)
        self._show()

    def _show(self):
        spin = self._spin
        spin.blockSignals(True)
        spin.setDecimals(self.decimals)
        spin.setRange(self.minimum, self.maximum)
        spin.setSingleStep(self.singleStep)
        spin.setPrefix(self.prefix)
        spin.setSuffix(self.suffix)
        spin.setValue(self.value)
        spin.setVisible(self.spinBoxVisible)
        spin.blockSignals(False)
        self._slider.show_number()

    _after_prefix = _after_suffix = _after_spinBoxVisible = _show


@properties(prefix="", suffix="")
class ctkDoubleSpinBox(_Number):
    """A spin box over floating point numbers."""

    def __init__(self, parent=None):
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.__dict__["_spin"] = QtWidgets.QDoubleSpinBox(self)
        row.addWidget(self._spin)
        self.setFocusProxy(self._spin)
        self._spin.valueChanged.connect(self.setValue)
        self._show()

    def _show(self):
        spin = self._spin
        spin.blockSignals(True)
        spin.setDecimals(self.decimals)
        spin.setRange(self.minimum, self.maximum)
        spin.setSingleStep(self.singleStep)
        spin.setPrefix(self.prefix)
        spin.setSuffix(self.suffix)
        spin.setValue(self.value)
        spin.blockSignals(False)

    _after_prefix = _after_suffix = _show

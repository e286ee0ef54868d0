"""Ties Qt controls to fields of the parameters, both ways: the control shows the field, the user's change is stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.settings import DEFAULTS


@dataclass(frozen=True)
class _Tie:
    field: str  # of PanelSettings
    control: Any
    read: Callable[[], Any]
    show: Callable[[Any], None]


class Binding:
    """Controls of one section, each tied to one field of ``PanelSettings``.

    Showing never stores, so what a control rounds or cannot display is not lost from a scene that was opened.

    Args:
        parameters: what holds the fields; whoever owns the section calls ``refresh`` after each of their changes.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._ties: list[_Tie] = []
        self._is_showing = False

    def choice(self, box: Any, field: str, *, unlisted: Callable[[Any], str] = str) -> None:
        """Tie a ``QComboBox`` by the value behind each item.

        Args:
            box: filled with ``set_choices`` before or after this.
            field: of ``PanelSettings``.
            unlisted: what to call a stored value that no item stands for; an item is added for it.
        """

        def show(value: Any) -> None:
            select(box, value, unlisted)

        self._tie(_Tie(field, box, lambda: selected(box), show), "currentIndexChanged(int)")

    def tick(self, box: Any, field: str) -> None:
        """Tie a ``QCheckBox`` (or any button that stays down) to a field that is true or false."""
        self._tie(_Tie(field, box, lambda: bool(box.checked), box.setChecked), "toggled(bool)")

    def whole(self, box: Any, field: str) -> None:
        """Tie a ``QSpinBox`` to an integer."""
        self._tie(_Tie(field, box, lambda: int(box.value), box.setValue), "valueChanged(int)")

    def number(self, box: Any, field: str) -> None:
        """Tie a ``QDoubleSpinBox``, ``ctkDoubleSpinBox`` or ``ctkSliderWidget`` to a float."""
        self._tie(_Tie(field, box, lambda: float(box.value), box.setValue), "valueChanged(double)")

    def refresh(self) -> None:
        """Show what the parameters hold."""
        settings = self._parameters.settings
        was_showing, self._is_showing = self._is_showing, True
        try:
            for tie in self._ties:
                tie.show(getattr(settings, tie.field))
        finally:
            self._is_showing = was_showing

    def differences(self, *fields: str) -> list[str]:
        """Accessible names of the controls whose fields differ from the default.

        Args:
            fields: look only at these; none: at all that are tied.
        """
        settings = self._parameters.settings
        wanted = fields or tuple(tie.field for tie in self._ties)
        differing = {name for name in wanted if getattr(settings, name) != getattr(DEFAULTS, name)}
        return [str(tie.control.accessibleName) for tie in self._ties if tie.field in differing]

    def refill(self, box: Any, choices: Sequence[tuple[str, Any]]) -> None:
        """Give a tied combo box other items; what is stored stays as it is and is shown again."""
        was_showing, self._is_showing = self._is_showing, True
        try:
            set_choices(box, choices)
        finally:
            self._is_showing = was_showing
        self.refresh()

    def _tie(self, tie: _Tie, signal: str) -> None:
        self._ties.append(tie)
        tie.control.connect(signal, lambda *_: self._store(tie))

    def _store(self, tie: _Tie) -> None:
        if self._is_showing:
            return
        value = tie.read()
        if value != getattr(self._parameters.settings, tie.field):
            self._parameters.change(**{tie.field: value})


def set_choices(box: Any, choices: Sequence[tuple[str, Any]]) -> None:
    """Fill a combo box anew with (text, value) pairs; the first is chosen."""
    box.clear()
    for text, value in choices:
        box.addItem(text, value)


def selected(box: Any) -> Any:
    """The value behind the chosen item of a combo box; None where nothing is chosen."""
    return box.itemData(box.currentIndex)


def select(box: Any, value: Any, unlisted: Callable[[Any], str] = str) -> None:
    """Choose the item that stands for a value; where none does, one is added and called ``unlisted(value)``."""
    for index in range(box.count):  # findData compares QVariants, in which a Python None finds nothing
        if box.itemData(index) == value:
            box.setCurrentIndex(index)
            return
    box.addItem(unlisted(value), value)
    box.setCurrentIndex(box.count - 1)

"""Qt controls: loaded from ``.ui`` files, filled, and tied to fields of the parameters both ways."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.settings import DEFAULTS

UI_FOLDER = Path(__file__).resolve().parents[3] / "Resources" / "UI"

FIELD_GAP = 6  # pixels between a label and its field, also in the .ui files


@dataclass(frozen=True)
class _Tie:
    field: str  # of PanelSettings
    control: Any
    read: Callable[[], Any]
    show: Callable[[Any], None]


class Section(ABC):
    """A part of the panel that most people never open.

    Attributes:
        title: over it.
        widget: holds its controls.
        tells_state: what ``differences`` names is no choice but what happens.
    """

    title: str
    widget: Any
    tells_state = False

    @abstractmethod
    def refresh(self) -> None:
        """Show what is chosen now."""

    def differences(self) -> list[str]:
        """Names of what differs from the default; empty where nothing does."""
        return []


class Showing:
    """True inside ``with`` it: the program sets controls then, and what they signal is not the user's."""

    def __init__(self) -> None:
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __bool__(self) -> bool:
        return self._depth > 0


class Binding:
    """Controls of one section, each tied to one field of ``PanelSettings``.

    Showing never stores, so what a control rounds or cannot display is not lost from a scene that was opened.

    Args:
        parameters: what holds the fields; whoever owns the section calls ``refresh`` after each of their changes.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._ties: list[_Tie] = []
        self._selectors: list[tuple[Any, str]] = []
        self.showing = Showing()

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

    def tick(self, box: Any, field: str, *, on: Any = True, off: Any = False) -> None:
        """Tie a ``QCheckBox`` (or any button that stays down) to a field; it is down unless the value is ``off``."""
        tie = _Tie(field, box, lambda: on if box.checked else off, lambda value: box.setChecked(value != off))
        self._tie(tie, "toggled(bool)")

    def whole(self, box: Any, field: str) -> None:
        """Tie a ``QSpinBox`` to an integer."""
        self._tie(_Tie(field, box, lambda: int(box.value), box.setValue), "valueChanged(int)")

    def number(self, box: Any, field: str) -> None:
        """Tie a ``QDoubleSpinBox``, ``ctkDoubleSpinBox`` or ``ctkSliderWidget`` to a float."""
        self._tie(_Tie(field, box, lambda: float(box.value), box.setValue), "valueChanged(double)")

    def node(self, selector: Any, role: str, on_choice: Callable[[Any], None] = lambda _node: None) -> None:
        """Tie a ``qMRMLNodeComboBox`` to a node of the parameters.

        Args:
            selector: its scene is not set here.
            role: of the node.
            on_choice: hears what the user chose.
        """

        def chosen(node: Any) -> None:
            if not self.showing:
                self._parameters.set_node(role, node)
                on_choice(node)

        def removed(node: Any) -> None:  # Slicer would choose the next node by itself
            if node is not None and node is self._parameters.node(role):
                self._parameters.set_node(role, None)

        selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen)
        selector.connect("nodeActivated(vtkMRMLNode*)", chosen)  # of two nodes of one name only this tells
        selector.connect("nodeAboutToBeRemoved(vtkMRMLNode*)", removed)
        self._selectors.append((selector, role))

    def refresh(self) -> None:
        """Show what the parameters hold."""
        settings = self._parameters.settings
        with self.showing:
            for tie in self._ties:
                tie.show(getattr(settings, tie.field))
            for selector, role in self._selectors:
                if selector.currentNode() is not self._parameters.node(role):
                    selector.setCurrentNode(self._parameters.node(role))

    def differences(self) -> list[str]:
        """Accessible names of the controls whose fields differ from the default."""
        settings = self._parameters.settings
        differing = (tie for tie in self._ties if getattr(settings, tie.field) != getattr(DEFAULTS, tie.field))
        return [str(tie.control.accessibleName) for tie in differing]

    def refill(self, box: Any, choices: Sequence[tuple[str, Any]]) -> None:
        """Give a tied combo box other items; what is stored stays as it is and is shown again."""
        with self.showing:
            set_choices(box, choices)
        self.refresh()

    def _tie(self, tie: _Tie, signal: str) -> None:
        self._ties.append(tie)
        tie.control.connect(signal, lambda *_: self._store(tie))

    def _store(self, tie: _Tie) -> None:
        if self.showing:
            return
        value = tie.read()
        if value != getattr(self._parameters.settings, tie.field):
            self._parameters.change(**{tie.field: value})


def show_text(label: Any, text: str) -> None:
    """Show a text in a label; an empty one hides it."""
    label.setText(text)
    label.setVisible(bool(text))


def call(button: Any, text: str) -> None:
    """Give a button another text; screen readers read the accessible name in its place."""
    button.setText(text)
    button.setAccessibleName(text.replace("&", ""))


def align(labels: Sequence[Any]) -> None:
    """Give the labels of several forms one width, so that their fields stand in one column."""
    width = max((int(label.sizeHint.width()) for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)


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


def load_ui(name: str) -> tuple[Any, SimpleNamespace]:
    """Load a widget that a ``.ui`` file describes.

    Args:
        name: of the file in ``Resources/UI``, without its ending.

    Returns:
        The widget, and its named children as attributes.
    """
    import slicer

    widget = slicer.util.loadUI(str(UI_FOLDER / f"{name}.ui"))
    return widget, slicer.util.childWidgetVariables(widget)


def set_cell(table: Any, line: int, column: int, text: str) -> Any:
    """Write a cell, and make it where there is none.

    An item that Python makes belongs, in some versions of Slicer's Qt binding, to Python still after it was handed to
    the table, and is gone from there when Python forgets it.

    Args:
        table: the ``QTableWidget``.
        line: counted from 0.
        column: counted from 0.
        text: what it says.

    Returns:
        The ``QTableWidgetItem``.
    """
    import qt

    model = table.model()
    model.setData(model.index(line, column), text, qt.Qt.EditRole)
    return table.item(line, column)


def ask_path_to_save(title: str, proposed: str, kinds: str) -> Path | None:
    """Let the user say where a file goes; the dialog asks before it names a file that is there.

    Args:
        title: of the dialog.
        proposed: name of the file.
        kinds: of files, as Qt writes them.

    Returns:
        None where the user thought better of it.
    """
    import qt
    import slicer

    text = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, proposed, kinds)
    return Path(text) if text else None  # an ending added here would name a file the dialog did not ask about

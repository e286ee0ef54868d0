"""The chips of the model search: one button a value, in rows below the name of what they tell apart."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import qt

from medseg.desktop.panel.controls import Showing
from medseg.desktop.panel.model_filter import SIZES_MB, Chip, Facet, Filter
from medseg.desktop.state.texts import _

_ROW_LETTERS = 34  # of the chips in one row, so that the panel need not grow


class ModelChips:
    """Buttons that stay down, made anew with the models.

    Args:
        place: the widget they are put into.
        on_toggle: hears of the chip a user pressed.
    """

    def __init__(self, place: Any, on_toggle: Callable[[Facet, str], None]) -> None:
        self._place, self._on_toggle = place, on_toggle
        self._box: Any = None
        self._buttons: dict[tuple[Facet, str], Any] = {}
        self._showing = Showing()

    def build(self, chips: Sequence[Chip]) -> None:
        """Make the buttons."""
        if self._box is not None:
            self._box.setParent(None)
            self._box.deleteLater()
        self._buttons = {}
        self._box = qt.QWidget()
        grid = qt.QGridLayout(self._box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        self._place.layout().addWidget(self._box)
        line = 0
        for facet, group in groupby(chips, key=lambda chip: chip.facet):
            grid.addWidget(qt.QLabel(facet_name(facet) + ":"), line, 0)
            for row in rows_of(list(group), _ROW_LETTERS):
                grid.addLayout(self._row(row), line, 1)
                line += 1
        self._place.setVisible(bool(chips))

    def show(self, chips: Iterable[Chip], wanted: Filter) -> None:
        """Show which are chosen and how many models each would leave."""
        with self._showing:
            for chip in chips:
                button = self._buttons.get((chip.facet, chip.value))
                if button is not None:
                    _show(button, chip, is_chosen=(chip.facet, chip.value) in wanted.chips)

    def _row(self, chips: Iterable[Chip]) -> Any:
        row = qt.QHBoxLayout()
        row.setSpacing(4)
        for chip in chips:
            button = qt.QToolButton()
            button.setCheckable(True)
            button.setFocusPolicy(qt.Qt.StrongFocus)
            button.setToolTip(_("Show only models of this kind"))
            _show(button, chip, is_chosen=False)
            button.connect("toggled(bool)", lambda _down, chip=chip: self._toggled(chip))
            row.addWidget(button)
            self._buttons[(chip.facet, chip.value)] = button
        row.addStretch(1)
        return row

    def _toggled(self, chip: Chip) -> None:
        if not self._showing:
            self._on_toggle(chip.facet, chip.value)


def rows_of(chips: Sequence[Chip], letters: int) -> list[list[Chip]]:
    """Cut chips into rows of at most so many letters; a chip that is longer has a row of its own."""
    rows: list[list[Chip]] = []
    room = 0
    for chip in chips:
        length = len(value_name(chip.facet, chip.value)) + 6  # the count and the frame
        if not rows or length > room:
            rows.append([])
            room = letters
        rows[-1].append(chip)
        room -= length
    return rows


def facet_name(facet: Facet) -> str:
    """What a facet is called."""
    names: dict[Facet, str] = {
        "modality": _("Modality"),
        "anatomy": _("Anatomy"),
        "dimensions": _("Dimensions"),
        "size": _("Size"),
    }
    return names[facet]


def value_name(facet: Facet, value: str) -> str:
    """What a value is called; a size by its limits."""
    if facet != "size":
        return value
    small, medium = SIZES_MB["small"], SIZES_MB["medium"]
    names = {
        "small": _("below {limit:g} MB").format(limit=small),
        "medium": _("{low:g} to {high:g} MB").format(low=small, high=medium),
        "large": _("from {limit:g} MB").format(limit=medium),
    }
    return names[value]


def _show(button: Any, chip: Chip, *, is_chosen: bool) -> None:
    name = value_name(chip.facet, chip.value)
    mark = "✓ " if is_chosen else ""  # seen without telling colours apart
    button.setText(f"{mark}{name} ({chip.count})".replace("&", "&&"))
    button.setChecked(is_chosen)
    button.setEnabled(is_chosen or chip.count > 0)
    button.setAccessibleName(
        _("{facet} {value}, {count} models").format(facet=facet_name(chip.facet), value=name, count=chip.count)
    )

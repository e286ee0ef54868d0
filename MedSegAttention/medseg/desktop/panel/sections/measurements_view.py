"""The table of statistics below a result: a line a segment, filled while the measuring goes on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import qt

from medseg.desktop.panel.controls import set_cell
from medseg.desktop.state.texts import _
from medseg.imaging.image import SizeUnit
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import segment_names
from medseg.mrml.statistics import SegmentStatistics

_NAME, _SIZE, _SURFACE, _MEAN, _STD, _DICE = range(6)
_ABSENT = "–"  # no number can be given


class MeasurementsView:
    """Fills a ``QTableWidget``.

    Args:
        table: what to fill.
        on_go: hears the id of the segment whose line the user chose by Enter or a double click.
    """

    def __init__(self, table: Any, on_go: Callable[[str], None]) -> None:
        self._table, self._on_go = table, on_go
        self._ids: list[str | None] = []  # one a line; None for a segment that only the reference has
        self._names: list[str] = []
        self.rows: list[SegmentStatistics] = []
        self.scores: dict[str, float] | None = None  # Dice by name; None: nothing was compared
        table.setColumnCount(_DICE + 1)
        self._head("ml")
        table.setColumnHidden(_DICE, True)
        header = table.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        for column in range(_SIZE, _DICE + 1):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("cellActivated(int,int)", self._go)
        table.connect("cellDoubleClicked(int,int)", self._go)

    def begin(self, segmentation: Node) -> None:
        """A line for each segment, and no number yet."""
        self.clear()
        for segment_id, name in segment_names(segmentation).items():
            self._add(name, segment_id)

    def clear(self) -> None:
        """Show nothing: what was measured is no longer so."""
        self.rows, self.scores = [], None
        self._ids, self._names = [], []
        self._table.setRowCount(0)
        self._table.setColumnHidden(_DICE, True)

    def put(self, row: SegmentStatistics) -> None:
        """Show what was measured of one segment."""
        self.rows.append(row)
        if row.segment_id not in self._ids:
            return
        line = self._ids.index(row.segment_id)
        if len(self.rows) == 1:
            self._head(row.size_unit)
        for column, value in (
            (_SIZE, {"ml": row.volume_ml, "cm2": row.area_cm2, "voxels": row.voxels}[row.size_unit]),
            (_SURFACE, row.surface_mm2),
            (_MEAN, row.mean),
            (_STD, row.std),
        ):
            self._write(line, column, value, _("nothing to measure here"))
        tip = _("{count} voxels").format(count=row.voxels)
        if row.size_unit == "voxels":
            unknown = _("the picture does not say how large a pixel is; give the spacing in the module Volumes")
            tip = f"{tip}; {unknown}"
        self._table.item(line, _SIZE).setToolTip(tip)

    def begin_comparison(self) -> None:
        """Forget the scores there are; the column appears."""
        self.scores = {}
        for line in reversed(range(len(self._ids))):
            if self._ids[line] is None:
                self._table.removeRow(line)
                del self._ids[line], self._names[line]
            else:
                self._table.item(line, _DICE).setText("")
        self._table.setColumnHidden(_DICE, False)

    def put_dice(self, name: str, score: float) -> None:
        """Show how well the segments of one name agree with the reference's."""
        if self.scores is not None:
            self.scores[name] = score
        if name not in self._names:
            self._add(name, None)
        for line, each in enumerate(self._names):
            if each == name:
                self._write(line, _DICE, score, _("only one of the two has voxels of this name"))

    def rename(self, names: Mapping[str, str]) -> None:
        """Show other names, by segment id; the scores of those that changed go."""
        self.rows = [replace(row, name=names.get(row.segment_id, row.name)) for row in self.rows]
        for line, segment_id in enumerate(self._ids):
            name = None if segment_id is None else names.get(segment_id)
            if name is not None and name != self._names[line]:
                if self.scores is not None:
                    self.scores.pop(self._names[line], None)
                self._names[line] = name
                self._table.item(line, _NAME).setText(name)
                self._table.item(line, _NAME).setToolTip(name)
                self._table.item(line, _DICE).setText("")

    @property
    def names(self) -> set[str]:
        """Of the segments there are lines for."""
        return set(self._names)

    def _head(self, unit: SizeUnit) -> None:
        """Name the columns for what the sizes are given in; a single slice has no surface."""
        sizes = {"ml": _("Volume\nml"), "cm2": _("Area\ncm²"), "voxels": _("Pixels\n(size unknown)")}
        headings = (_("Segment"), sizes[unit], _("Surface\nmm²"), _("Mean"), _("Std"), _("Dice"))
        self._table.setHorizontalHeaderLabels(list(headings))
        self._table.setColumnHidden(_SURFACE, unit != "ml")

    def _add(self, name: str, segment_id: str | None) -> None:
        line = len(self._ids)
        self._ids.append(segment_id)
        self._names.append(name)
        self._table.insertRow(line)
        label = name if segment_id is not None else _("{name} (reference only)").format(name=name)
        for column in range(_DICE + 1):
            item = set_cell(self._table, line, column, label if column == _NAME else "")
            item.setToolTip(label if column == _NAME else "")
            if column != _NAME:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)

    def _write(self, line: int, column: int, value: float, if_absent: str) -> None:
        item = self._table.item(line, column)
        item.setText(str(value) if isinstance(value, int) else number_text(value))
        item.setToolTip(if_absent if math.isnan(value) else repr(value))

    def _go(self, line: int, _column: int) -> None:
        segment_id = self._ids[line] if line < len(self._ids) else None
        if segment_id is not None:
            self._on_go(segment_id)


def number_text(value: float) -> str:
    """Four figures or all before the point, at most three after it; a dash for nan."""
    if math.isnan(value):
        return _ABSENT
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 1
    return f"{value:.{max(0, min(3, 4 - whole))}f}"

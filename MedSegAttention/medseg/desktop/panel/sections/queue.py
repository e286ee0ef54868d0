"""The section of the panel that shows the queue: a line a job, and what can be done with the chosen ones."""

from collections.abc import Callable, Sequence
from typing import Any

import qt

from medseg.desktop.panel.sections.queue_lines import (
    COLUMNS,
    can_be_cancelled,
    can_be_removed,
    can_be_retried,
    counts,
    headings,
    line_of,
    tip_of,
)
from medseg.desktop.panel.table_cells import set_cell
from medseg.desktop.panel.ui import load_ui
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.job_row import Row
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _

_WIDTHS = (95, 80, 64, 60)  # pixels, of all columns but the last


class QueueSection:
    """A table of the rows of a queue.

    Args:
        parameters: of the panel; what a job takes from them is already in its row.
        queue: whose rows these are. Its owner calls ``refresh`` after each of its changes.
        order_all: queues a job for every volume of the scene, and says itself what it cannot queue.
    """

    def __init__(self, parameters: Parameters, queue: JobQueue, order_all: Callable[[], None]) -> None:
        self.title = _("Queue")
        self.tells_state = True
        self.widget, self._ui = load_ui("Queue")
        self._parameters, self._queue = parameters, queue
        self._shown: list[Row] = []  # one a line of the table
        self._lines: list[tuple[str, ...]] = []  # what the table says of them
        table = self._ui.queueTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels(list(headings()))
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)
        table.horizontalHeader().setSectionResizeMode(COLUMNS - 1, qt.QHeaderView.Stretch)
        table.connect("itemSelectionChanged()", self._show_what_can_be_done)
        self._ui.cancelButton.connect("clicked()", self.cancel)
        self._ui.retryButton.connect("clicked()", self.retry)
        self._ui.removeButton.connect("clicked()", self.remove)
        self._ui.clearButton.connect("clicked()", queue.clear_ended)
        self._ui.allButton.connect("clicked()", order_all)
        self._delete_key = qt.QShortcut(table)
        self._delete_key.setKey(qt.QKeySequence("Del"))
        self._delete_key.setContext(qt.Qt.WidgetShortcut)
        self._delete_key.connect("activated()", self.delete)
        self.refresh()

    def refresh(self) -> None:
        """Show the rows as they are; which ones are chosen stays, and only texts that changed are written."""
        rows = list(self._queue.rows)
        for line in reversed(range(len(self._shown))):
            if self._shown[line] not in rows:
                self._ui.queueTable.removeRow(line)
                del self._shown[line], self._lines[line]
        if rows[: len(self._shown)] != self._shown:  # the queue never reorders; should it, begin anew
            self._ui.queueTable.setRowCount(0)
            self._shown, self._lines = [], []
        for row in rows[len(self._shown) :]:
            self._add(row)
        for line, row in enumerate(self._shown):
            self._write(line, row)
        self._show_what_can_be_done()

    def differences(self) -> list[str]:
        """How many jobs run, wait and have failed."""
        return counts(self._queue.rows)

    @property
    def chosen(self) -> list[Row]:
        """The rows that are selected in the table."""
        return [row for line, row in enumerate(self._shown) if self._ui.queueTable.item(line, 0).isSelected()]

    def cancel(self) -> None:
        """Stop the chosen jobs; those that wait first, so that none of them begins in between."""
        for row in reversed(can_be_cancelled(self.chosen)):
            self._queue.cancel(row)

    def retry(self) -> None:
        """Run the chosen jobs that brought no result once more."""
        self._each(can_be_retried(self.chosen), self._queue.retry)

    def remove(self) -> None:
        """Take the chosen jobs that have ended off the list."""
        self._each(can_be_removed(self.chosen), self._queue.remove)

    def delete(self) -> None:
        """What the Delete key does: remove what has ended, cancel the others; never both to one job."""
        ended, others = can_be_removed(self.chosen), can_be_cancelled(self.chosen)
        self._each(ended, self._queue.remove)
        for row in reversed(others):
            self._queue.cancel(row)

    def _each(self, rows: Sequence[Row], action: Callable[[Row], Any]) -> None:
        for row in rows:
            action(row)

    def _add(self, row: Row) -> None:
        line = len(self._shown)
        self._ui.queueTable.insertRow(line)
        for column in range(COLUMNS):
            set_cell(self._ui.queueTable, line, column, "")
        self._shown.append(row)
        self._lines.append(())

    def _write(self, line: int, row: Row) -> None:
        texts, tip = line_of(row), tip_of(row)
        if self._lines[line] == (*texts, tip):
            return
        self._lines[line] = (*texts, tip)
        for column, text in enumerate(texts):
            item = self._ui.queueTable.item(line, column)
            item.setText(text)
            item.setToolTip(tip)

    def _show_what_can_be_done(self) -> None:
        chosen = self.chosen
        self._ui.cancelButton.setEnabled(bool(can_be_cancelled(chosen)))
        self._ui.retryButton.setEnabled(bool(can_be_retried(chosen)))
        self._ui.removeButton.setEnabled(bool(can_be_removed(chosen)))
        self._ui.detailLabel.setText(tip_of(chosen[0]) if len(chosen) == 1 else "")
        self._ui.detailLabel.setVisible(len(chosen) == 1)
        self._ui.clearButton.setEnabled(any(row.has_ended for row in self._shown))

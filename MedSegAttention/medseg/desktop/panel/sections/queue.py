"""The section of the panel that shows the queue: a line a job, and what can be done with the chosen ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import qt

from medseg.desktop.panel.controls import Section, load_ui, set_cell, show_text
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _

COLUMNS = 5  # volume, model, state, progress, result or error
_WIDTHS = (95, 80, 64, 60)  # pixels, of all columns but the last


class QueueSection(Section):
    """A table of the rows of a queue.

    Args:
        parameters: of the panel; what a job takes from them is already in its row.
        queue: whose rows these are. Its owner calls ``refresh`` after each of its changes.
        order_all: queues a job for every volume of the scene, and says itself what it cannot queue.
    """

    tells_state = True

    def __init__(self, parameters: Parameters, queue: JobQueue, order_all: Callable[[], None]) -> None:
        self.title = _("Queue")
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
            self._ui.queueTable.insertRow(len(self._shown))
            for column in range(COLUMNS):
                set_cell(self._ui.queueTable, len(self._shown), column, "")
            self._shown.append(row)
            self._lines.append(())
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
        for row in can_be_retried(self.chosen):
            self._queue.retry(row)

    def remove(self) -> None:
        """Take the chosen jobs that have ended off the list."""
        for row in can_be_removed(self.chosen):
            self._queue.remove(row)

    def delete(self) -> None:
        """What the Delete key does: remove what has ended, cancel the others; never both to one job."""
        ended, others = can_be_removed(self.chosen), can_be_cancelled(self.chosen)
        for row in ended:
            self._queue.remove(row)
        for row in reversed(others):
            self._queue.cancel(row)

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
        show_text(self._ui.detailLabel, tip_of(chosen[0]) if len(chosen) == 1 else "")
        self._ui.clearButton.setEnabled(any(row.has_ended for row in self._shown))


def headings() -> tuple[str, ...]:
    """Of the columns, translated."""
    return (_("Volume"), _("Model"), _("State"), _("Progress"), _("Result or error"))


def line_of(row: Row) -> tuple[str, ...]:
    """One text a column; the last is the result's name, the error, or what is being done."""
    return (
        row.order.title or _("Job {number}").format(number=row.number),
        row.order.model_title,
        _state(row),
        "" if row.state is State.WAITING else f"{row.percent} %",  # the time left is in the message
        _outcome(row),
    )


def tip_of(row: Row) -> str:
    """Everything there is to say about a row, the whole error included."""
    lines = [
        f"{row.number}. {row.order.title}: {row.order.model_title}",
        _("Device: {device}").format(device=row.order.device),
        f"{_state(row)}: {row.details or row.message}",
        *(_("Warning: {message}").format(message=message) for message in row.warnings),
    ]
    if row.result is not None and row.result.kept is not None:
        lines.append(_("The result is kept in the file {path}").format(path=row.result.kept))
    return "\n".join(lines)


def counts(rows: Iterable[Row]) -> list[str]:
    """How many run, wait and have failed; empty where there is nothing to report."""
    number = Counter(row.state for row in rows)
    named = (
        (State.RUNNING, _("{count} running")),
        (State.WAITING, _("{count} waiting")),
        (State.FAILED, _("{count} failed")),
    )
    return [text.format(count=number[state]) for state, text in named if number[state]]


def can_be_cancelled(rows: Sequence[Row]) -> list[Row]:
    """Those that wait or run."""
    return [row for row in rows if not row.has_ended and not row.is_stopping]


def can_be_retried(rows: Sequence[Row]) -> list[Row]:
    """Those that ended without a result, and whose scene is still there."""
    return [row for row in rows if row.can_be_retried and row.state is not State.DONE]


def can_be_removed(rows: Sequence[Row]) -> list[Row]:
    """Those that have ended."""
    return [row for row in rows if row.has_ended]


def _state(row: Row) -> str:
    if row.is_stopping and not row.has_ended:
        return _("stopping")
    return {
        State.WAITING: _("waiting"),
        State.RUNNING: _("running"),
        State.DONE: _("done"),
        State.FAILED: _("failed"),
        State.CANCELLED: _("cancelled"),
    }[row.state]


def _outcome(row: Row) -> str:
    node = None if row.result is None else row.result.node
    if row.state is not State.DONE or node is None:
        return "" if row.state is State.WAITING else row.message
    name = node.GetName() if node.GetScene() is not None else _("The result was removed from the scene")
    if not row.warnings:
        return str(name)
    return _("{name} (warnings: {count})").format(name=name, count=len(row.warnings))

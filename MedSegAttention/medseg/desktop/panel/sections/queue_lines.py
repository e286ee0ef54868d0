"""What the queue says about each of its rows, in words; no Qt."""

from collections import Counter
from collections.abc import Iterable, Sequence

from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.state.texts import _

COLUMNS = 5  # volume, model, state, progress, result or error


def headings() -> tuple[str, ...]:
    """Of the columns, translated."""
    return (_("Volume"), _("Model"), _("State"), _("Progress"), _("Result or error"))


def line_of(row: Row) -> tuple[str, ...]:
    """One text a column; the last is the result's name, the error, or what is being done."""
    return (
        row.order.title or _("Job {number}").format(number=row.number),
        row.order.model_title,
        _state(row),
        _progress(row),
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
    if row.landing is not None and row.landing.kept is not None:
        lines.append(_("The result is kept in the file {path}").format(path=row.landing.kept))
    return "\n".join(lines)


def counts(rows: Iterable[Row]) -> list[str]:
    """How many run, wait and have failed; empty where the queue needs nobody's attention."""
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


def _progress(row: Row) -> str:
    return "" if row.state is State.WAITING else f"{row.percent} %"  # the time left is in the message


def _outcome(row: Row) -> str:
    node = None if row.landing is None else row.landing.node
    if row.state is not State.DONE or node is None:
        return "" if row.state is State.WAITING else row.message
    name = node.GetName() if node.GetScene() is not None else _("The result was removed from the scene")
    if not row.warnings:
        return str(name)
    return _("{name} (warnings: {count})").format(name=name, count=len(row.warnings))

"""The log of a run as CSV, one line a step; a run that is resumed continues it where its checkpoint stands."""

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from medseg.io.atomic import replacing


@dataclass(frozen=True)
class LogRow:
    """One step."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    seconds: float  # since the run began
    dice: float | None = None  # of the averaged weights on the validation cases, when they were scored


class RunLog:
    """Appends rows to a file."""

    def __init__(self, path: Path, *, resume_at: int = 0) -> None:
        """Open a log; rows after step ``resume_at`` are dropped, they will be written again."""
        kept = [row for row in read_log(path) if row.step <= resume_at] if resume_at else []
        with replacing(path, overwrite=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(field.name for field in fields(LogRow))
            writer.writerows(_texts(row) for row in kept)
        self._path = path
        self._waiting: list[list[str]] = []

    def add(self, row: LogRow) -> None:
        """Take a row; it is written with the next ``flush``."""
        self._waiting.append(_texts(row))

    def flush(self) -> None:
        """Append what was added."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(self._waiting)
        self._waiting.clear()


def read_log(path: Path) -> list[LogRow]:
    """Read a log; a last line that was cut off is left out, and so is a file that is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    read = []
    for row in rows:
        try:
            step, epoch, loss, rate, seconds, dice = row
            read.append(
                LogRow(int(step), int(epoch), float(loss), float(rate), float(seconds), float(dice) if dice else None)
            )
        except ValueError:
            continue
    return read


def _texts(row: LogRow) -> list[str]:
    return [
        "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in astuple(row)
    ]

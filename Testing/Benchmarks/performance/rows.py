"""What a benchmark measured, and the arithmetic on it: medians, ratios of rounds, bars."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One thing measured in every round.

    Attributes:
        name: of the thing.
        seconds: one a round, in the rounds' order, so that two rows of a table can be compared round by round.
        peak_mib: most memory beyond what the process held before; None: not measured.
        cells: further columns, text by title.
    """

    name: str
    seconds: tuple[float, ...]
    peak_mib: float | None = None
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Middle of the rounds, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Table:
    """Rows that took turns in the same rounds.

    Attributes:
        key: part of the names of files made from it.
        title: heading.
        clock: "processor" seconds of the process, or "wall" seconds.
        threads: of every row.
        rows: the first is what the others are compared with.
        note: one paragraph under the table.
        plot: whether a bar plot is drawn.
    """

    key: str
    title: str
    clock: Literal["processor", "wall"]
    threads: int
    rows: tuple[Row, ...]
    note: str = ""
    plot: bool = True

    def row(self, name: str) -> Row | None:
        """The row of a name; None where it was not measured."""
        return next((row for row in self.rows if row.name == name), None)


@dataclass(frozen=True)
class Grid:
    """A table of finished texts, for what has no rounds.

    Attributes:
        titles: of the columns; the first is left-aligned.
        lines: cells, as many as titles.
    """

    title: str
    titles: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A ratio that was promised.

    Attributes:
        what: one sentence.
        bar: the number.
        at_most: whether smaller is better.
        ratio: what was measured; None: not measured in this run.
        aim: what was hoped for, or None.
    """

    what: str
    bar: float
    ratio: float | None
    at_most: bool = False
    aim: float | None = None
    unit: str = "x"

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None where nothing was measured."""
        if self.ratio is None:
            return None
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar


@dataclass(frozen=True)
class Spot:
    """One operator under the roofline.

    Attributes:
        name: operator and form.
        flop: floating point operations of the definition; what a form does beyond them does not count.
        bytes: input, weights and output, each once.
        seconds: one a round.
        peak_flops: FLOP/s this machine reached on a matrix product in the same run.
        bandwidth: bytes/s of a copy of as many bytes, in the same run.
    """

    name: str
    flop: float
    bytes: float
    seconds: tuple[float, ...]
    peak_flops: float
    bandwidth: float

    @property
    def median(self) -> float:
        """Middle of the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def least_seconds(self) -> float:
        """What the arithmetic or the memory alone would take, whichever is more."""
        return max(self.flop / self.peak_flops, self.bytes / self.bandwidth)

    @property
    def share(self) -> float:
        """Which part of what the machine can do is reached, 1 is all."""
        return self.least_seconds / self.median


@dataclass(frozen=True)
class Part:
    """What one part of the benchmark says."""

    name: str
    tables: tuple[Table, ...] = ()
    grids: tuple[Grid, ...] = ()
    bars: tuple[Bar, ...] = ()
    spots: tuple[Spot, ...] = ()
    notes: tuple[str, ...] = ()
    minutes: float = 0.0


def times_as_fast(row: Row | None, than: Row | None) -> float | None:
    """Median over the rounds of how many times the other row's seconds a row's are; None where one is missing."""
    if row is None or than is None:
        return None
    return statistics.median(slow / fast for fast, slow in zip(row.seconds, than.seconds, strict=True))


def as_json(part: Part) -> dict[str, Any]:
    """Plain lists and dictionaries."""
    return asdict(part)


def from_json(stored: dict[str, Any]) -> Part:
    """What ``as_json`` made, after it was in a file."""
    tables = (Table(**{**table, "rows": tuple(map(_row, table["rows"]))}) for table in stored["tables"])
    grids = (
        Grid(**{**grid, "titles": tuple(grid["titles"]), "lines": tuple(map(tuple, grid["lines"]))})
        for grid in stored["grids"]
    )
    spots = (Spot(**{**spot, "seconds": tuple(spot["seconds"])}) for spot in stored["spots"])
    bars = (Bar(**bar) for bar in stored["bars"])
    return Part(
        name=stored["name"],
        tables=tuple(tables),
        grids=tuple(grids),
        bars=tuple(bars),
        spots=tuple(spots),
        notes=tuple(stored["notes"]),
        minutes=stored["minutes"],
    )


def _row(stored: dict[str, Any]) -> Row:
    return Row(**{**stored, "seconds": tuple(stored["seconds"])})

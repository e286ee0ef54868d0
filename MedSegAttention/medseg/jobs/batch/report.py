"""What became of each case of a batch: a table on disk that is whole at any time, and read back to go on."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from medseg.jobs.batch.content import Content
from medseg.spec.errors import JobError, OutputExists

Status: TypeAlias = Literal["running", "done", "failed", "cancelled"]
SizeField: TypeAlias = Literal["volumes_ml", "areas_cm2", "voxels"]

CSV_NAME, HTML_NAME = "report.csv", "report.html"
_BEFORE = ("case", "status", "seconds", "device", "engine", "error", "warnings", "output")
_AFTER = ("inputs", "contents", "model", "weights_sha256", "options")
SIZES: dict[SizeField, str] = {"volumes_ml": "ml", "areas_cm2": "cm2", "voxels": "voxels"}
"""Where a row keeps the sizes of its segments -> their unit."""


@dataclass(frozen=True)
class Recipe:
    """What a result depends on besides its images; with another recipe a case is run again."""

    model: str  # id and version
    weights_sha256: str
    options: str  # JSON


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One line of the report."""

    case: str
    status: Status  # "running" on disk: the batch was ended by force there
    inputs: tuple[str, ...]
    output: str  # below the output folder, with forward slashes
    recipe: Recipe
    contents: tuple[Content, ...] = ()  # of the inputs when they were read; none: not known
    seconds: float | None = None
    device: str = ""
    engine: str = ""  # "" also in a report written before there were engines
    error: str = ""
    warnings: tuple[str, ...] = ()
    volumes_ml: dict[str, float] = field(default_factory=dict)  # by segment
    areas_cm2: dict[str, float] = field(default_factory=dict)  # by segment, in their place for a single slice
    voxels: dict[str, float] = field(default_factory=dict)  # in their place where the voxel's size is unknown

    def sizes(self, unit: SizeField) -> dict[str, float]:
        """The sizes in one unit, by segment; empty where the case has another one."""
        return {"volumes_ml": self.volumes_ml, "areas_cm2": self.areas_cm2, "voxels": self.voxels}[unit]

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of the segments that were measured."""
        return tuple(dict.fromkeys(name for unit in SIZES for name in self.sizes(unit)))


@dataclass(frozen=True)
class BatchReport:
    """The rows of a batch, and where they are written."""

    folder: Path
    rows: tuple[CaseRow, ...]  # of this batch, in its order; fewer than ``total`` when it was stopped
    total: int
    skipped: int = 0  # of the rows: were done before and are not done again

    @property
    def csv_path(self) -> Path:
        """The table for programs."""
        return self.folder / CSV_NAME

    @property
    def html_path(self) -> Path:
        """The table for people."""
        return self.folder / HTML_NAME

    @property
    def is_complete(self) -> bool:
        """Whether every case is done."""
        return self.count("done") == self.total

    def count(self, status: Status) -> int:
        """How many rows have a status."""
        return sum(row.status == status for row in self.rows)


def read_rows(folder: Path) -> dict[str, CaseRow]:
    """Read the report of an earlier batch in a folder, by case; empty where there is none.

    Raises:
        OutputExists: if a file has the report's name and is none.
    """
    path = folder / CSV_NAME
    if not path.exists():
        if (folder / HTML_NAME).exists():
            msg = f"{folder / HTML_NAME} belongs to no batch and is kept; choose another output folder"
            raise OutputExists(msg)
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [_row(cells) for cells in csv.DictReader(stream, strict=True)]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        msg = f"{path} is no report of a batch ({type(error).__name__}: {error}) and is kept; choose another folder"
        raise OutputExists(msg) from error
    return {row.case: row for row in rows}


def write_rows(folder: Path, work: Path, rows: Sequence[CaseRow], labels: Sequence[str], html: str) -> None:
    """Replace both files of the report, each at once.

    Args:
        folder: of the report.
        work: a folder on the same disk for what is not whole yet.
        rows: in their order.
        labels: segments that get a column, before those that only earlier rows have.
        html: the second file.

    Raises:
        JobError: if one of them is in use or cannot be written; what was there before is kept.
    """
    for name, text in ((CSV_NAME, table_text(rows, labels)), (HTML_NAME, html)):
        try:
            # a path of an old system may be no text at all
            (work / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
            (work / name).replace(folder / name)
        except OSError as error:
            reason = error.strerror or error
            msg = f"{folder / name} cannot be written ({reason}); close it or free space, then run the batch again"
            raise JobError(msg) from error


def size_columns(rows: Sequence[CaseRow], labels: Sequence[str]) -> list[tuple[SizeField, str]]:
    """Unit and segment of each column of sizes: those labels first, in every unit that a row has; else in ml."""
    units = [unit for unit in SIZES if any(row.sizes(unit) for row in rows)] or [next(iter(SIZES))]
    return [
        (unit, name)
        for unit in units
        for name in dict.fromkeys([*labels, *(name for row in rows for name in row.sizes(unit))])
    ]


def table_text(rows: Sequence[CaseRow], labels: Sequence[str]) -> str:
    """The rows as CSV."""
    columns = size_columns(rows, labels)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_BEFORE, *(f"{name} {SIZES[unit]}" for unit, name in columns), *_AFTER])
    for row in rows:
        found = [(unit, row.sizes(unit).get(name)) for unit, name in columns]
        sizes = ["" if size is None else f"{size:.0f}" if unit == "voxels" else f"{size:.6g}" for unit, size in found]
        before = [
            row.case,
            row.status,
            "" if row.seconds is None else f"{row.seconds:.2f}",
            row.device,
            row.engine,
            row.error,
            json.dumps(row.warnings) if row.warnings else "",
            row.output,
        ]
        contents = json.dumps([astuple(each) for each in row.contents])
        recipe = (row.recipe.model, row.recipe.weights_sha256, row.recipe.options)
        writer.writerow([*before, *sizes, json.dumps(row.inputs), contents, *recipe])
    return text.getvalue()


def _row(cells: dict[str, str]) -> CaseRow:
    status = cells["status"]
    if status not in get_args(Status):
        msg = f"a status is one of {', '.join(get_args(Status))}, got {status!r}"
        raise ValueError(msg)
    known = {*_BEFORE, *_AFTER}
    return CaseRow(
        case=cells["case"],
        status=status,  # type: ignore[arg-type] # just checked
        inputs=tuple(map(str, json.loads(cells["inputs"]))),
        output=cells["output"],
        contents=tuple(Content(*each) for each in json.loads(cells.get("contents") or "[]")),
        recipe=Recipe(cells["model"], cells["weights_sha256"], cells["options"]),
        seconds=float(cells["seconds"]) if cells["seconds"] else None,
        device=cells["device"],
        engine=cells.get("engine", ""),
        error=cells["error"],
        warnings=tuple(map(str, json.loads(cells["warnings"] or "[]"))),
        **{unit: _sizes(cells, known, f" {ending}") for unit, ending in SIZES.items()},
    )


def _sizes(cells: dict[str, str], known: set[str], ending: str) -> dict[str, float]:
    return {
        name.removesuffix(ending): float(value)
        for name, value in cells.items()
        if name not in known and name.endswith(ending) and value
    }

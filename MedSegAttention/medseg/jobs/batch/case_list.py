"""A CSV file that lists cases: the columns ``case``, ``image`` or one a channel, and perhaps ``output``."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from medseg.io.formats import output_suffix
from medseg.spec.errors import JobError

_BAD = set('/\\:*?"<>|') | set(map(chr, range(32)))  # in a file name, on one system or another


@dataclass(frozen=True)
class ListedCase:
    """One line."""

    name: str
    inputs: tuple[str, ...]  # one a channel
    output: str  # below the output folder; "": named after the case


def read_list(path: Path, channels: Sequence[str]) -> list[ListedCase]:
    """Read the cases; relative paths begin at the folder of the CSV file.

    Args:
        path: UTF-8, with commas, semicolons or tabs.
        channels: names of the model's channels, in its order.

    Raises:
        JobError: if a column is missing or a line means nothing; the message has its number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        msg = f"{path}: a list of cases is a CSV file in UTF-8 ({error}); save it as such"
        raise JobError(msg) from error
    columns = [name.strip().casefold() for name in lines[0]] if lines else []
    wanted = _image_columns(path, columns, channels)
    return [
        _case(path, number, dict(zip(columns, map(str.strip, line), strict=False)), wanted)
        for number, line in enumerate(lines[1:], start=2)
        if any(cell.strip() for cell in line)
    ]


def _image_columns(path: Path, columns: Sequence[str], channels: Sequence[str]) -> list[str]:
    named = [channel.casefold() for channel in channels]
    if "case" in columns and all(name in columns for name in named):
        return named
    if "case" in columns and "image" in columns:
        return ["image"]
    rule = f"the first line names the columns 'case' and 'image', or 'case' and {', '.join(channels)}"
    msg = f"{path}: {rule}; got {', '.join(columns) or 'nothing'}"
    raise JobError(msg)


def _case(path: Path, number: int, cells: dict[str, str], columns: Sequence[str]) -> ListedCase:
    name, output = cells.get("case", ""), cells.get("output", "")
    if not name or name.startswith(".") or _BAD & set(name):
        msg = f"{path}, line {number}: a case's name is part of a file name, got {name!r}; use letters and digits"
        raise JobError(msg)
    missing = [column for column in columns if not cells.get(column)]
    if missing:
        msg = f"{path}, line {number}: {name!r} names no file for {', '.join(missing)}; fill it in or remove the line"
        raise JobError(msg)
    if output:
        inside = PurePath(output)
        if inside.is_absolute() or inside.drive or ".." in inside.parts:
            msg = f"{path}, line {number}: an output lies in the output folder, got {output!r}; leave the folder out"
            raise JobError(msg)
        output_suffix(Path(output))
    return ListedCase(name, tuple(str(path.parent / Path(cells[column]).expanduser()) for column in columns), output)

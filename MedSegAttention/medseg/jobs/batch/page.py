"""The report of a batch as one HTML page that needs nothing else; everything in it is escaped."""

import math
from collections import Counter
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from medseg.jobs.batch.report import SIZES, CaseRow, SizeField, size_columns

_SIGNS = {"done": "✓", "failed": "✗", "cancelled": "–", "running": "…"}
_DIGITS: dict[SizeField, int] = {"volumes_ml": 3, "areas_cm2": 3, "voxels": 0}
_MEANINGS: dict[SizeField, str] = {
    "volumes_ml": "Volumes in millilitres.",
    "areas_cm2": "Areas in single slices in square centimetres.",
    "voxels": "Numbers of voxels where the image does not say how large one is.",
}
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem; } table { border-collapse: collapse; } caption { text-align: left; padding: .5rem 0; }
th, td { border: 1px solid #8888; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } td.text { max-width: 40rem; }
tfoot td { font-weight: bold; } .small { font-size: 85%; overflow-wrap: anywhere; }
"""


def page(title: str, rows: Sequence[CaseRow], total: int, labels: Sequence[str], facts: dict[str, str]) -> str:
    """Draw the page.

    Args:
        title: of the model.
        rows: in their order.
        total: cases of the batch.
        labels: segments, one column each in every unit that there is.
        facts: what else the reader should know, as name and value.
    """
    counts = Counter(str(row.status) for row in rows)
    summary = [
        f"{total} case{'' if total == 1 else 's'}",
        *(f"{counts[status]} {status}" for status in _SIGNS if counts[status]),
    ]
    if total > len(rows):
        summary.append(f"{total - len(rows)} to go")
    sizes = size_columns(rows, labels)
    named = [f"{name} ({SIZES[unit]})" for unit, name in sizes]
    columns = ["case", "status", "seconds", *named, "device", "engine", "remarks"]
    meaning = " ".join(_MEANINGS[unit] for unit in dict.fromkeys(unit for unit, _ in sizes))
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in columns)
    body = "\n".join(_line(row, sizes) for row in rows)
    known = "\n".join(f"<dt>{escape(name)}</dt><dd class=small>{escape(value)}</dd>" for name, value in facts.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}: {escape(summary[0])}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(", ".join(summary))}. For research; not for diagnosis.</p>
<table>
<caption>{meaning} A case's name leads to its segmentation.</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
<tfoot>{_totals(rows, sizes)}</tfoot>
</table>
<dl>
{known}
</dl>
</body>
</html>
"""


def _line(row: CaseRow, sizes: Sequence[tuple[SizeField, str]]) -> str:
    name = escape(row.case)
    if row.status == "done":
        name = f'<a href="{escape(quote(row.output), quote=True)}">{name}</a>'
    remarks = "<br>".join(escape(text) for text in (*row.error.splitlines(), *row.warnings))
    return (
        f'<tr><th scope="row">{name}</th><td>{_SIGNS[row.status]} {row.status}</td>{_number(row.seconds, 1)}'
        + "".join(_number(row.sizes(unit).get(name), _DIGITS[unit]) for unit, name in sizes)
        + f"<td>{escape(row.device)}</td><td>{escape(row.engine)}</td>"
        + f'<td class="text small">{remarks}</td></tr>'
    )


def _totals(rows: Sequence[CaseRow], sizes: Sequence[tuple[SizeField, str]]) -> str:
    """Seconds in all, and the mean size of each segment over the cases that are done."""
    done = [row for row in rows if row.status == "done"]
    if not done:
        return ""
    means = []
    for unit, name in sizes:
        values = [row.sizes(unit)[name] for row in done if name in row.sizes(unit)]
        means.append(_number(math.fsum(values) / len(values) if values else None, _DIGITS[unit]))
    seconds = math.fsum(row.seconds or 0.0 for row in rows)
    return (
        f"<tr><td>total time, mean sizes</td><td>{len(done)} done</td>{_number(seconds, 1)}"
        + "".join(means)
        + "<td></td><td></td><td></td></tr>"
    )


def _number(value: float | None, digits: int) -> str:
    return f'<td class="number">{"" if value is None else f"{value:.{digits}f}"}</td>'

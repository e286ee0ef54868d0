"""The page: what was measured, as Markdown. It reads parts and knows nothing of how they were measured."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from performance.rows import Bar, Grid, Part, Row, Spot, Table

HEAD = """# Performance

Measured by `make bench`, which writes this page and its pictures; nothing here is edited by hand.

* Everything in one table took turns, A B A B, in one run. Seconds are medians, with the least and the most of the
  rounds; a ratio is the median of the rounds' ratios, so a disturbance that lasts over a round does not change it.
* With one thread, seconds are the process's own processor time: what else the machine does disturbs it least, though
  not its caches. With several threads they are wall time and mean something on a quiet machine only.
* Peak memory is resident memory of a process of its own, beyond what it held when its programs were loaded.
* Weights are random, so nothing here says how good a network is, only what it costs.
"""
TITLES = {
    "networks": "Networks",
    "operators": "Operators",
    "volumes": "Whole volumes",
    "nnunet": "Models of nnU-Net",
    "stitching": "Sliding window alone",
}
AGAIN = """## Measure again

```sh
make bench                          # all of it, about 30 minutes; best when nothing else runs
make bench BENCH="--quick"          # small sizes, a few minutes; this page is left as it is
python Testing/Benchmarks/run.py --full --only operators stitching
```

Results are also kept as JSON in `build/bench/`; `run.py --render` makes the page from them anew.

Not measured here: graphics cards (`Testing/Benchmarks/triton_kernels.py` is for them), half precision, trained
weights on patients' images, and other processors than the one above.
"""


def page(parts: Sequence[Part], conditions: Mapping[str, str], pictures: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        parts: in the order they are shown.
        conditions: what the run was like, by title.
        pictures: path of a picture relative to the page, by the key of its table or "roofline" and so on.
    """
    blocks = [HEAD, conditions_table(conditions)]
    if bars := [bar for part in parts for bar in part.bars]:
        blocks.append(f"## Bars\n\n{bars_table(bars)}")
    blocks += [_section(part, pictures) for part in parts]
    blocks.append(AGAIN)
    return "\n".join(block.rstrip("\n") + "\n" for block in blocks)


def conditions_table(conditions: Mapping[str, str]) -> str:
    """Two columns without a heading of their own."""
    return table_text(("of this run", ""), conditions.items(), numbers=False)


def bars_table(bars: Iterable[Bar]) -> str:
    """What was promised, what came, and whether that is enough."""
    lines = []
    for bar in bars:
        sign = "at most" if bar.at_most else "at least"
        aim = "" if bar.aim is None else f" (aim {bar.aim:g}{bar.unit})"
        measured = "not measured" if bar.ratio is None else f"{number(bar.ratio)}{bar.unit}"
        verdict = {True: "reached", False: "**missed**", None: "-"}[bar.reached]
        lines.append((bar.what, f"{sign} {bar.bar:g}{bar.unit}{aim}", measured, verdict))
    return table_text(("what", "bar", "measured", ""), lines)


def rows_table(table: Table) -> str:
    """Medians, least and most, times as fast as the first row, memory, further columns."""
    further = list(dict.fromkeys(title for row in table.rows for title in row.cells))
    titles = ("", f"{table.clock} s", "least to most", f"x {table.rows[0].name}", "peak MiB", *further)
    lines = [
        (
            row.name,
            number(row.median),
            f"{number(min(row.seconds))} to {number(max(row.seconds))}",
            _times(row, table.rows[0]),
            "-" if row.peak_mib is None else f"{row.peak_mib:.0f}",
            *(row.cells.get(title, "") for title in further),
        )
        for row in table.rows
    ]
    return table_text(titles, lines)


def _times(row: Row, first: Row) -> str:
    if len(row.seconds) != len(first.seconds):  # one of them failed in a round
        return "-"
    return number(statistics.median(b / a for a, b in zip(row.seconds, first.seconds, strict=True)))


def spots_table(spots: Iterable[Spot]) -> str:
    """Operators: what they do, how fast, and the share of what the machine can."""
    titles = ("operator", "MFLOP", "MB", "ms", "least to most", "GFLOP/s", "GB/s", "limit", "share of it")
    lines = [
        (
            spot.name,
            number(spot.flop / 1e6),
            number(spot.bytes / 1e6),
            number(1e3 * spot.median),
            f"{number(1e3 * min(spot.seconds))} to {number(1e3 * max(spot.seconds))}",
            number(spot.flop / spot.median / 1e9),
            number(spot.bytes / spot.median / 1e9),
            "arithmetic" if spot.flop / spot.peak_flops > spot.bytes / spot.bandwidth else "memory",
            f"{100 * spot.share:.1f} %",
        )
        for spot in spots
    ]
    return table_text(titles, lines)


def grid_table(grid: Grid) -> str:
    """Texts as they are."""
    return table_text(grid.titles, grid.lines)


def table_text(titles: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A Markdown table; the first column is left-aligned, the others hold numbers unless said otherwise."""
    rule = ["---"] + ["---:" if numbers else "---"] * (len(titles) - 1)
    rows = [titles, rule, *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = 3 - len(str(int(abs(value)))) if abs(value) >= 1 else 3
    return f"{value:.{max(0, digits)}f}"


def _section(part: Part, pictures: Mapping[str, str]) -> str:
    blocks = [f"## {TITLES.get(part.name, part.name)}"]
    for table in part.tables:
        if part.spots:
            continue  # shown as spots
        rounds = max(len(row.seconds) for row in table.rows)
        blocks.append(f"### {_capital(table.title)}\n\n{_rounds(rounds)}")
        blocks += _picture(table.key, table.title, pictures)
        blocks += [rows_table(table), table.note]
    if part.spots:
        blocks += [*_picture("roofline", "roofline", pictures), spots_table(part.spots)]
    for grid in part.grids:
        blocks += [f"### {_capital(grid.title)}", grid_table(grid), grid.note]
    blocks += part.notes
    blocks.append(f"This part took {part.minutes:.1f} minutes.")
    return "\n\n".join(block.rstrip("\n") for block in blocks if block)


def _rounds(count: int) -> str:
    return "One round." if count == 1 else f"{count} rounds."


def _picture(key: str, title: str, pictures: Mapping[str, str]) -> list[str]:
    return [f"![{_capital(title)}]({pictures[key]})"] if key in pictures else []


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]

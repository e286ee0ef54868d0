"""Pictures of the tables: bars with the range of the rounds, memory, and the roofline.

Colours are of Okabe and Ito's palette, which colour-blind readers can tell apart; each bar is named in words too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from performance.page import number
from performance.rows import Part, Row, Spot, Table

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
OURS = ("base", "M ", "D-LKA", "ours", "plain path")


def draw(parts: Sequence[Part], folder: Path) -> Mapping[str, Path]:
    """Write all pictures into a folder; where each went, by the key the page asks for."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Path] = {}
    for part in parts:
        for table in part.tables:
            if table.plot and table.rows:
                drawn[table.key] = folder / f"{table.key}.png"
                bars(table, drawn[table.key])
        if part.spots:
            drawn["roofline"] = folder / "roofline.png"
            roofline(part.spots, drawn["roofline"])
    return drawn


def bars(table: Table, path: Path) -> None:
    """Seconds and memory side by side, one bar a row, shortest time first."""
    from matplotlib import pyplot as plt

    rows = sorted(table.rows, key=lambda row: row.median)
    with_memory = any(row.peak_mib is not None for row in rows)
    figure, axes = plt.subplots(
        1,
        2 if with_memory else 1,
        figsize=(11 if with_memory else 7, 0.36 * len(rows) + 1.6),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    places = range(len(rows))
    colours = [BLUE if is_ours(row) else ORANGE for row in rows]
    left = axes[0][0]
    low = [row.median - min(row.seconds) for row in rows]
    high = [max(row.seconds) - row.median for row in rows]
    left.barh(places, [row.median for row in rows], color=colours)
    if any(low) or any(high):
        left.errorbar([row.median for row in rows], places, xerr=[low, high], fmt="none", ecolor="black", capsize=3)
    _label(left, [max(row.seconds) for row in rows], [f"{number(row.median)} s" for row in rows])
    left.set_xlabel(f"{table.clock} seconds" + (", least to most of the rounds" if any(high) else ""))
    left.set_yticks(places, [row.name for row in rows])
    left.invert_yaxis()
    if with_memory:
        right = axes[0][1]
        values = [row.peak_mib or 0.0 for row in rows]
        right.barh(places, values, color=colours)
        _label(right, values, ["not measured" if row.peak_mib is None else f"{row.peak_mib:.0f}" for row in rows])
        right.set_xlabel("peak memory, MiB")
    figure.suptitle(f"{table.title[:1].upper()}{table.title[1:]} (blue: ours)")
    _save(figure, path)


def is_ours(row: Row) -> bool:
    """Whether a row is of this project."""
    return f"{row.name} ".startswith(OURS)


def _label(axes: Any, ends: Sequence[float], texts: Sequence[str]) -> None:
    """Words behind the bars, inside the picture."""
    longest = max(ends) or 1.0
    for place, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.text(end + 0.015 * longest, place, text, va="center", fontsize=9)
    axes.set_xlim(0, 1.2 * longest)
    axes.spines[["top", "right"]].set_visible(False)


def roofline(spots: Sequence[Spot], path: Path) -> None:
    """Plain and fast form of each operator, joined by a line, under the roof of its size; numbers lead to a list."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 5.6), layout="constrained")
    peak = spots[0].peak_flops
    speeds = sorted({spot.bandwidth for spot in spots}, reverse=True)
    intensities = [spot.flop / spot.bytes for spot in spots]
    low, high = min(*intensities, *(peak / speed for speed in speeds)) / 3, max(intensities) * 3
    for speed, style in zip(speeds, ("--", ":"), strict=False):
        roof = [low * speed / 1e9, peak / 1e9, peak / 1e9]
        label = f"limit: {speed / 1e9:.0f} GB/s, {peak / 1e9:.0f} GFLOP/s"
        axes.plot([low, peak / speed, high], roof, style, color=GREY, label=label)
    for place, (plain, fast) in enumerate(zip(spots[::2], spots[1::2], strict=True), start=1):
        x = plain.flop / plain.bytes
        ends = [spot.flop / spot.median / 1e9 for spot in (plain, fast)]
        axes.plot([x, x], ends, "-", color=GREY, linewidth=1)
        axes.plot(x, ends[0], "o", color=ORANGE, markersize=8, label="plain" if place == 1 else None)
        axes.plot(x, ends[1], "s", color=BLUE, markersize=8, label="ours, or the other form" if place == 1 else None)
        axes.annotate(str(place), (x, ends[1]), xytext=(9, 0), textcoords="offset points", fontsize=10, va="center")
    names = "\n".join(f"{place}  {spot.name.rpartition(',')[0]}" for place, spot in enumerate(spots[::2], start=1))
    axes.text(1.02, 0.98, names, transform=axes.transAxes, va="top", fontsize=9.5, linespacing=1.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("FLOP a byte")
    axes.set_ylabel("GFLOP/s")
    axes.grid(visible=True, which="major", color="#e0e0e0", linewidth=0.6)
    axes.legend(loc="lower left", bbox_to_anchor=(1.0, 0.0), frameon=False, fontsize=9.5)
    axes.set_title("Operators under the roofline, 1 thread")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)

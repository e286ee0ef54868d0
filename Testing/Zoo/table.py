"""The page docs/reference/accuracy.md and its curves, rendered from the results; nothing is trained here.

Run with ``PYTHONPATH=Testing python -m Zoo.table``; a test compares the page with what this makes of the results.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medseg.jobs.scoring.score_tables import mean_interval
from medseg.spec.measured import Estimate
from Zoo.curves import draw_dice
from Zoo.results import RESULTS, Result, Training, read_results
from Zoo.rows import read_rows, read_shipped

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "accuracy.md"
CURVES = "accuracy-curves.png"
PEER = "dynunet"  # the row others are compared with
_MARKS = (0.85, 0.88)
_SCORES = "| network | {labels} | mean Dice | against DynUNet | mIoU | HD95 mm |"
_COSTS = "| network | parameters | window | MACs G | CPU s a case | patch, a step | rate | steps | CPU min | to 0.85 |"


def write_page(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Render the page and, beside it, the curves."""
    rows = in_order(read_results(results))
    page.write_text(render(rows), encoding="utf-8")
    draw_dice([row for row in rows if row.training]).save(page.with_name(CURVES), format="PNG", optimize=True)


def in_order(found: Mapping[str, Result]) -> list[Result]:
    """Trained rows by mean Dice, best first, then the shipped models."""
    known = [row.key for row in read_rows()]
    shipped = [each.key for each in read_shipped()]
    trained = sorted((found[key] for key in known if key in found), key=lambda row: -np.mean(mean_by_case(row)))
    return [*trained, *(found[key] for key in shipped if key in found)]


def render(rows: Sequence[Result]) -> str:
    """The page as Markdown.

    Args:
        rows: in their order on the page; at least one that was trained.
    """
    text = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    parts = {
        "SCORES": _scores(rows),
        "COSTS": _costs(rows),
        "NOTES": "\n".join(f"* {row.title}: {row.note}." for row in rows if row.note),
        "BUDGET": " or ".join(sorted({f"{row.training.budget_minutes:g}" for row in rows if row.training})),
        "CASES": str(len(rows[0].cases)),
        "MARKS": "\n".join(_reached(row) for row in rows if row.key.startswith("ultralight3d")),
        "FEWEST": _fewest(rows),
        "MISSING": _missing(rows),
    }
    for name, value in parts.items():
        text = text.replace(f"<<{name}>>", value)
    return text.replace("\n\n\n", "\n\n")


def mean_by_case(row: Result) -> list[float]:
    """Mean Dice over the labels, one number a case."""
    return [statistics.fmean(values) for values in zip(*row.dice.values(), strict=True)]


def mean_iou(row: Result) -> float:
    """Mean over labels and cases of the Jaccard index, which is D / (2 - D) of each Dice D."""
    return statistics.fmean(dice / (2 - dice) for values in row.dice.values() for dice in values)


def mean_hd95(row: Result) -> tuple[float, int]:
    """Mean over labels of the mean over cases, mm; and in how many cases and labels there is no distance."""
    known = {label: [value for value in values if value is not None] for label, values in row.hd95_mm.items()}
    missing = sum(len(values) for values in row.hd95_mm.values()) - sum(map(len, known.values()))
    means = [statistics.fmean(values) for values in known.values() if values]
    return (statistics.fmean(means) if means else float("nan")), missing


def difference(row: Result, peer: Result) -> Estimate:
    """Mean Dice minus the peer's, case by case.

    Raises:
        ValueError: when the two were scored on different cases.
    """
    if row.cases != peer.cases:
        msg = f"{row.key} and {peer.key} were scored on different cases; run the zoo again for one of them"
        raise ValueError(msg)
    return mean_interval([a - b for a, b in zip(mean_by_case(row), mean_by_case(peer), strict=True)])


def minutes_to(training: Training, mark: float) -> float | None:
    """Minutes until the curve first reaches a Dice; None: it never did."""
    return next((minutes for minutes, dice in training.dice if dice >= mark), None)


def _scores(rows: Sequence[Result]) -> str:
    labels = rows[0].labels
    lines = [_SCORES.format(labels=" | ".join(f"Dice {name.lower()}" for name in labels.values()))]
    lines.append("| --- |" + " ---: |" * (len(labels) + 4))
    peer = next((row for row in rows if row.key == PEER), None)
    for row in rows:
        dice = [_ranged(mean_interval(row.dice[label])) for label in labels]
        against = "-" if peer is None or row.key == PEER else _ranged(difference(row, peer), sign="+")
        hd95, missing = mean_hd95(row)
        cells = [
            row.title,
            *dice,
            _ranged(mean_interval(mean_by_case(row))),
            against,
            f"{100 * mean_iou(row):.1f} %",
            f"{hd95:.2f}" + (f" ({missing} without)" if missing else ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _costs(rows: Sequence[Result]) -> str:
    lines = [_COSTS, "| --- |" + " ---: |" * 9]
    for row in rows:
        cells = [
            row.title,
            f"{row.parameters / 1e6:.2f} M",
            _sides(row.window),
            f"{row.macs / 1e9:.2f}",
            f"{row.cpu_seconds:.2f}",
            *(_training_cells(row.training) if row.training else ("-",) * 5),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _training_cells(training: Training) -> list[str]:
    short = "" if training.precision == "float32" else f", {training.precision}"
    reached = minutes_to(training, _MARKS[0])
    return [
        f"{training.batch} x {_sides(training.patch)}{short}",
        f"{training.learning_rate:g}",
        str(training.steps),
        f"{training.cpu_minutes:.1f}",
        "-" if reached is None else f"{reached:.1f}",
    ]


def _reached(row: Result) -> str:
    if row.training is None:
        return ""
    words = []
    for mark in _MARKS:
        minutes = minutes_to(row.training, mark)
        words.append(f"{mark:g} " + ("not within the budget" if minutes is None else f"after {minutes:.1f} minutes"))
    best = max((dice for _, dice in row.training.dice), default=float("nan"))
    return f"* {row.title}: Dice {', '.join(words)}; the best of this curve is {best:.3f}."


def _fewest(rows: Sequence[Result]) -> str:
    """The three rows that took the fewest steps."""
    counted = sorted((row.training.steps, row.title) for row in rows if row.training is not None)
    return ", ".join(f"{title} ({steps} steps)" for steps, title in counted[:3])


def _missing(rows: Sequence[Result]) -> str:
    missing = [row.title for row in read_rows() if row.key not in {each.key for each in rows}]
    return f"Not trained yet: {', '.join(missing)}." if missing else ""


def _ranged(interval: Estimate, sign: str = "") -> str:
    return f"{interval.mean:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def _sides(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes if size > 1)


if __name__ == "__main__":
    write_page()

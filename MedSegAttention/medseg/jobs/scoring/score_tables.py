"""Scores as the tables of a model card: means with bootstrap intervals, volume bias, worst cases. JSON values only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.jobs.scoring.bootstrap import Interval, mean_interval
from medseg.jobs.scoring.evaluate import CaseScores, Evaluation, LabelScores

_COLUMNS: tuple[tuple[str, str, int], ...] = (  # field of LabelScores, title, digits
    ("dice", "Dice", 4),
    ("surface_dice", "surface Dice at 1 mm", 4),
    ("hd95_mm", "HD95 mm", 3),
    ("volume_difference_percent", "volume difference %", 2),
)
_AGREEMENT = 1.96  # standard deviations on both sides hold 95 % of normal differences


def score_table(evaluation: Evaluation, names: Mapping[int, str]) -> dict[str, Any]:
    """One row a label with the mean of each score and its 95 % interval, and a row "mean"."""
    table: dict[str, Any] = {names[scores.label]: _figures(scores, evaluation) for scores in evaluation.summary}
    cases = mean_dice_by_case(evaluation.rows)
    table["mean"] = {
        "Dice": round(evaluation.mean_dice(), 4),
        "Dice, 95 %": _range(mean_interval(list(cases.values())), 4),
        "HD95 mm": _figure(float(np.mean([scores.hd95_mm for scores in evaluation.summary])), 3),
    }
    return table


def bias_table(evaluation: Evaluation, names: Mapping[int, str]) -> dict[str, Any]:
    """By label, whether volumes come out too large or too small, and how much single cases scatter.

    Limits of agreement are those of Bland and Altman, Lancet 327 (1986) 307-310.
    """
    table: dict[str, Any] = {}
    for scores in evaluation.summary:
        differences = _values(evaluation, scores.label, "volume_difference_ml")
        interval = mean_interval(differences)
        scatter = float(np.std(differences, ddof=1)) if len(differences) > 1 else math.nan
        low, high = interval.mean - _AGREEMENT * scatter, interval.mean + _AGREEMENT * scatter
        table[names[scores.label]] = {
            "mean difference ml": _figure(interval.mean, 4),
            "95 %": _range(interval, 4),
            "limits of agreement ml": _range(Interval(interval.mean, low, high), 4),
        }
    return table


def worst_table(evaluation: Evaluation, pictures: Mapping[str, str]) -> dict[str, Any]:
    """The worst cases, worst first.

    Args:
        evaluation: scores of all cases.
        pictures: case -> path of its picture, seen from the card; these are the cases shown.
    """
    dice = mean_dice_by_case(evaluation.rows)
    return {
        case: {"Dice": round(dice[case], 4), "expert (left), model (right)": f"![{case}]({path})"}
        for case, path in sorted(pictures.items(), key=lambda item: dice[item[0]])
    }


def mean_dice_by_case(rows: Sequence[CaseScores]) -> dict[str, float]:
    """Mean Dice over the labels of each case."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.case, []).append(row.scores.dice)
    return {case: float(np.mean(values)) for case, values in found.items()}


def _figures(scores: LabelScores, evaluation: Evaluation) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for field, title, digits in _COLUMNS:
        figures[title] = _figure(getattr(scores, field), digits)
        figures[f"{title}, 95 %"] = _range(mean_interval(_values(evaluation, scores.label, field)), digits)
    return figures


def _values(evaluation: Evaluation, label: int, field: str) -> list[float]:
    return [getattr(row.scores, field) for row in evaluation.rows if row.scores.label == label]


def _range(interval: Interval, digits: int) -> str | None:
    """Both ends in words; None, which JSON can say, where there is no interval."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return None
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _figure(value: float, digits: int) -> float | None:
    """Round for a table; None where there is no such score."""
    return round(value, digits) if math.isfinite(value) else None

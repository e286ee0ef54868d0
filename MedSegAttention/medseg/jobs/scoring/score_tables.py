"""Scores as a model card holds them: means with bootstrap intervals, bias of sizes, worst cases."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from medseg.jobs.scoring.evaluate import CaseScores, Evaluation
from medseg.spec.measured import AreaBias, CaseDice, Estimate, ScoreTable, SegmentScores, VolumeBias

_AGREEMENT = 1.96  # standard deviations on both sides hold 95 % of normal differences
_RESAMPLES, _BATCH = 5000, 500  # so many at a time, so that many cases need little memory


def mean_interval(values: Sequence[float], *, digits: int | None = None, seed: int = 0) -> Estimate:
    """Mean with its 95 % interval, by the percentile bootstrap over cases; values that are not finite are left out.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

    Args:
        values: one a case.
        digits: to round to; None: all.
        seed: the same gives the same interval.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Estimate()
    mean = float(np.mean(known))
    ends = (mean, mean)  # of one case or equal ones
    if len(set(known)) > 1:
        random = np.random.default_rng(seed)
        settings = {"n_resamples": _RESAMPLES, "batch": _BATCH, "method": "percentile", "random_state": random}
        ends = tuple(stats.bootstrap((known,), np.mean, **settings).confidence_interval)
    return Estimate(*(float(value) if digits is None else round(float(value), digits) for value in (mean, *ends)))


def score_table(evaluation: Evaluation, names: Mapping[int, str]) -> ScoreTable:
    """The mean of each score and its 95 % interval, by segment and over all."""
    distance = float(np.mean([scores.hd95_mm for scores in evaluation.summary]))
    return ScoreTable(
        segments=tuple(
            SegmentScores(
                segment=names[scores.label],
                dice=_estimate(evaluation, scores.label, "dice", 4),
                surface_dice=_estimate(evaluation, scores.label, "surface_dice", 4),
                hd95_mm=_estimate(evaluation, scores.label, "hd95_mm", 3),
                volume_difference_percent=_estimate(evaluation, scores.label, "volume_difference_percent", 2),
            )
            for scores in evaluation.summary
        ),
        mean_dice=mean_interval(list(mean_dice_by_case(evaluation.rows).values()), digits=4),
        mean_hd95_mm=round(distance, 3) if math.isfinite(distance) else None,
    )


def bias_table(evaluation: Evaluation, names: Mapping[int, str]) -> tuple[VolumeBias, ...]:
    """By segment, whether volumes come out too large or too small, and how much single cases scatter.

    Limits of agreement are those of Bland and Altman, Lancet 327 (1986) 307-310. Segments without a volume have no row.
    """
    return tuple(
        VolumeBias(segment=names[label], difference_ml=difference, limits_of_agreement_ml=limits)
        for label, difference, limits in _biases(evaluation, "volume_difference_ml")
    )


def area_bias_table(evaluation: Evaluation, names: Mapping[int, str]) -> tuple[AreaBias, ...]:
    """The same of areas, for cases that are single slices."""
    return tuple(
        AreaBias(segment=names[label], difference_cm2=difference, limits_of_agreement_cm2=limits)
        for label, difference, limits in _biases(evaluation, "area_difference_cm2")
    )


def _biases(evaluation: Evaluation, field: str) -> Iterator[tuple[int, Estimate, tuple[float, float] | None]]:
    """Label, mean difference and limits of agreement; of the cases that have the score."""
    for scores in evaluation.summary:
        differences = [each for each in _values(evaluation, scores.label, field) if math.isfinite(each)]
        if not differences:
            continue
        mean, limits = float(np.mean(differences)), None
        if len(differences) > 1:
            reach = _AGREEMENT * float(np.std(differences, ddof=1))
            limits = (round(mean - reach, 4), round(mean + reach, 4))
        yield scores.label, mean_interval(differences, digits=4), limits


def worst_table(evaluation: Evaluation, pictures: Mapping[str, str]) -> tuple[CaseDice, ...]:
    """The worst cases, worst first.

    Args:
        evaluation: scores of all cases.
        pictures: case -> path of its picture, seen from the card; these are the cases shown.
    """
    dice = mean_dice_by_case(evaluation.rows)
    shown = sorted(pictures.items(), key=lambda item: dice[item[0]])
    return tuple(CaseDice(case=case, dice=round(dice[case], 4), picture=path) for case, path in shown)


def mean_dice_by_case(rows: Sequence[CaseScores]) -> dict[str, float]:
    """Mean Dice over the labels of each case."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.case, []).append(row.scores.dice)
    return {case: float(np.mean(values)) for case, values in found.items()}


def _estimate(evaluation: Evaluation, label: int, field: str, digits: int) -> Estimate:
    return mean_interval(_values(evaluation, label, field), digits=digits)


def _values(evaluation: Evaluation, label: int, field: str) -> list[float]:
    return [getattr(row.scores, field) for row in evaluation.rows if row.scores.label == label]

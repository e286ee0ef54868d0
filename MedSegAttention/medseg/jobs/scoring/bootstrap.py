"""How sure a mean is: percentile bootstrap over cases. Efron and Tibshirani, An Introduction to the Bootstrap, 1993."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 5000
_CHUNK = 500  # resamples at a time, so that many cases need little memory


@dataclass(frozen=True)
class Interval:
    """A mean and where 95 % of the means of resampled cases lie; nan where no case has a value."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Mean with its 95 % interval; values that are not finite are left out.

    Args:
        values: one a case.
        seed: the same gives the same interval.
    """
    known = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not known.size:
        return Interval(np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    means = [
        known[random.integers(known.size, size=(_CHUNK, known.size))].mean(axis=1) for _ in range(_RESAMPLES // _CHUNK)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(known.mean()), float(low), float(high))

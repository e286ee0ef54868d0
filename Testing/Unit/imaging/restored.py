"""Scores of all labels at once, and names of axes, as a test compares them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import closest_axes
from medseg.imaging.preprocess import Prepared


def restored(prepared: Prepared, scores: NDArray[np.float32]) -> NDArray[Any]:
    """``(L, I, J, K)`` on the grid of the input."""
    whole = np.empty((len(scores), *prepared.source_shape), dtype=np.float32)
    prepared.restore_labels(scores, probabilities=whole)
    return whole


def axis_codes(affine: NDArray[np.float64]) -> str:
    """The directions in which i, j, k grow, e.g. "RAS"; oblique axes by the closest."""
    return "".join(("RL", "AP", "SI")[row][0 if sign > 0 else 1] for row, sign in closest_axes(affine))

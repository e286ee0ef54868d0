"""Scores of all labels at once, as a test compares them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.preprocess import Prepared


def restored(prepared: Prepared, scores: NDArray[np.float32]) -> NDArray[Any]:
    """``(L, I, J, K)`` on the grid of the input."""
    return np.stack([score for _value, score in prepared.restore_scores(scores)])

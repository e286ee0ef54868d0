"""Answers that are known beforehand."""

import numpy as np
import pytest


@pytest.fixture
def eager():
    """An answer that says yes everywhere: what holds a change back is then the rule alone."""
    return lambda inputs: np.full(len(inputs), 50, np.float32)

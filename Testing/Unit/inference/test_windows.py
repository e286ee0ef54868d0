"""Where windows lie: arithmetic, checked without a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.inference.windows import Window, WindowPlan, window_starts


@settings(deadline=None, max_examples=300)
@given(window=st.integers(1, 60), more=st.integers(0, 200), overlap=st.floats(0, 0.9))
def test_windows_reach_from_end_to_end_evenly_and_overlap_as_asked(window, more, overlap):
    starts = window_starts(window + more, window, overlap)
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] + window == window + more
    if more:
        assert steps.max() - steps.min() <= 1
        assert steps.min() >= 1
        assert steps.max() <= max(1, window * (1 - overlap) + 1e-6)


def test_one_window_is_enough_when_it_is_the_axis():
    assert window_starts(16, 16, 0.9) == (0,)


def test_without_overlap_windows_that_divide_the_axis_tile_it():
    assert window_starts(48, 16, 0.0) == (0, 16, 32)


def test_ninety_percent_of_ten_voxels_steps_one_voxel():
    assert window_starts(14, 10, 0.9) == (0, 1, 2, 3, 4)


def test_the_plan_is_the_product_of_the_axes_and_k_varies_fastest():
    windows = list(WindowPlan((6, 4, 5), (4, 4, 2), 0.5))
    assert windows[0] == Window(start=(0, 0, 0), shape=(4, 4, 2))
    assert windows[1].start == (0, 0, 1)
    assert len(windows) == 2 * 1 * 4
    assert windows[-1].slices == (slice(2, 6), slice(0, 4), slice(3, 5))


@pytest.mark.parametrize(("shape", "overlap", "words"), [((3, 9, 9), 0.5, "4 voxels.*of 3"), ((9, 9, 9), 0.95, "0.95")])
def test_a_window_that_does_not_fit_or_overlaps_too_much_is_refused(shape, overlap, words):
    with pytest.raises(ValueError, match=words):
        WindowPlan(shape, (4, 4, 4), overlap)


def test_a_shape_of_two_axes_is_refused():
    with pytest.raises(ValueError, match="argument"):
        WindowPlan((9, 9), (4, 4, 4), 0.5)

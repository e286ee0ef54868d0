"""Stitching on the way: finished sums are those of the whole volume, and little is held."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.inference.sliding_window import window_weights
from medseg.inference.stitching import Stitcher
from medseg.inference.streaming_labels import largest
from medseg.inference.windows import Window, WindowPlan, window_starts

CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    window=st.tuples(*[st.integers(1, 8)] * 3),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9]),
    weigh=st.booleans(),
)
def test_every_voxel_is_handed_on_once_with_the_sum_over_all_its_windows(shape, window, overlap, weigh):
    shape = tuple(map(max, shape, window))
    plan = WindowPlan(shape, window, overlap)
    expected, got = torch.zeros(2 + weigh, *shape), torch.zeros(2 + weigh, *shape)
    times = torch.zeros(shape)

    def take(sums, first, column, _done):
        _, planes, columns, _ = sums.shape
        box = (slice(first, first + planes), slice(column, column + columns))
        got.permute(0, *(axis + 1 for axis in plan.axes))[(slice(None), *box)] += sums
        times.permute(plan.axes)[box] += 1

    stitcher = Stitcher(plan, 2, CPU, take, weigh=weigh)
    weights = window_weights(window)
    for place in plan:
        answer = torch.randn(2, *window)
        stitcher.add(answer)
        expected[(slice(2), *place.slices)].addcmul_(answer, weights)
        if weigh:
            expected[2][place.slices] += weights
    assert (times == 1).all()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(
    shape=st.tuples(*[st.integers(8, 40)] * 3),
    window=st.tuples(*[st.integers(1, 8)] * 3),
    overlap=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_the_windows_are_the_product_of_the_axes_in_an_order_of_their_own(shape, window, overlap):
    plan = WindowPlan(shape, window, overlap)
    windows = list(plan)
    assert len(windows) == len(plan)
    along = [window_starts(size, length, overlap) for size, length in zip(shape, window, strict=True)]
    assert set(windows) == {Window(start=start, shape=window) for start in product(*along)}
    assert sorted(plan.axes) == [0, 1, 2]


def test_far_less_than_the_volume_is_held():
    plan = WindowPlan((512, 512, 200), (96, 96, 96), 0.5)
    assert plan.axes == (0, 1, 2)
    assert plan.voxels_held < 512 * 512 * 200 / 7
    thin = WindowPlan((512, 512, 200), (512, 512, 1), 0.0)
    assert thin.voxels_held == 512 * 512  # a slice at a time


@pytest.mark.parametrize("count", [1, 2, 14, 256, 257, 300])
def test_the_largest_is_that_of_argmax_and_of_equals_the_lowest(count):
    generator = torch.Generator().manual_seed(count)
    scores = torch.randint(0, 4, (count, 6, 7), generator=generator).float()
    found = largest(scores)
    assert found.dtype == (torch.uint8 if count <= 256 else torch.int16)
    for place in product(range(6), range(7)):
        column = scores[:, *place].tolist()
        assert int(found[place]) == column.index(max(column))

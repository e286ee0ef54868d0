"""Stitching, against the identity and against MONAI."""

import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference

from medseg.inference.sliding_window import predict_volume, window_weights
from medseg.inference.windows import Window, WindowPlan


@pytest.fixture
def network():
    """A network that sees where in the window a voxel lies, so that a wrong weight or place shows."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(2, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(4, 3, 1)).eval()


def test_stitching_the_identity_returns_the_volume():
    volume = torch.randn(2, 40, 33, 20)
    windows = tuple(WindowPlan((40, 33, 20), (16, 16, 16), overlap=0.5))
    stitched = predict_volume(volume, lambda patch: patch, windows, label_count=2)
    torch.testing.assert_close(stitched, volume)


@pytest.mark.parametrize("shape", [(16, 16, 16), (8, 12, 5), (64, 3, 1)])
def test_weights_equal_monai_gaussian_importance_and_are_never_zero(shape):
    weights = window_weights(shape)
    torch.testing.assert_close(weights, compute_importance_map(shape, mode="gaussian", sigma_scale=0.125))
    assert weights.min() >= 1e-3


@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize(
    ("shape", "window", "overlap"),
    [((24, 18, 16), (8, 6, 8), 0.5), ((20, 16, 14), (8, 8, 8), 0.75), ((12, 16, 8), (4, 8, 8), 0.0)],
)
def test_the_result_equals_monai_on_the_same_windows(network, shape, window, overlap, batch):
    volume = torch.randn(2, *shape)
    with torch.no_grad():
        ours = predict_volume(volume, network, tuple(WindowPlan(shape, window, overlap)), label_count=3, batch=batch)
        theirs = sliding_window_inference(volume[None], window, batch, network, overlap=overlap, mode="gaussian")[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_network_sees_the_windows_monai_shows_it(network):
    def spy(seen):
        def look(patches):
            seen.extend(patches.clone())
            return network(patches)

        return look

    volume, ours, theirs = torch.randn(2, 16, 12, 8), [], []
    with torch.no_grad():
        predict_volume(volume, spy(ours), tuple(WindowPlan((16, 12, 8), (8, 6, 4), 0.5)), label_count=3, batch=4)
        sliding_window_inference(volume[None], (8, 6, 4), 4, spy(theirs), overlap=0.5, mode="gaussian")
    assert len(ours) == 3 * 3 * 3
    torch.testing.assert_close(torch.stack(ours), torch.stack(theirs), rtol=0, atol=0)


def test_half_precision_answers_are_summed_in_single_precision():
    volume = torch.full((1, 9, 9, 9), 0.1)
    windows = tuple(WindowPlan((9, 9, 9), (3, 3, 3), 0.6))
    stitched = predict_volume(volume, lambda patch: patch.bfloat16(), windows, label_count=1)
    assert stitched.dtype == torch.float32
    torch.testing.assert_close(stitched, volume.bfloat16().float(), rtol=1e-5, atol=0)


def test_the_volume_is_left_as_it_was():
    volume = torch.randn(1, 8, 8, 8)
    before = volume.clone()
    predict_volume(volume, torch.sin, tuple(WindowPlan((8, 8, 8), (4, 4, 4), 0.5)), label_count=1)
    torch.testing.assert_close(volume, before, rtol=0, atol=0)


def test_progress_counts_windows_and_ends_at_the_total():
    told = []
    windows = tuple(WindowPlan((10, 4, 4), (4, 4, 4), 0.5))
    volume = torch.zeros(1, 10, 4, 4)
    predict_volume(volume, torch.relu, windows, label_count=1, batch=3, on_window=lambda *now: told.append(now))
    assert told == [(3, 4), (4, 4)]


def test_what_the_progress_callable_raises_stops_the_work():
    calls = []

    def cancel(_done, _total):
        raise KeyboardInterrupt

    def count(patches):
        calls.append(len(patches))
        return patches

    windows = tuple(WindowPlan((12, 4, 4), (4, 4, 4), 0))
    with pytest.raises(KeyboardInterrupt):
        predict_volume(torch.zeros(1, 12, 4, 4), count, windows, label_count=1, on_window=cancel)
    assert calls == [1]


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must answer \(1, 2, 4, 4, 4\), got \(1, 1, 4, 4, 4\)"):
        predict_volume(torch.zeros(1, 4, 4, 4), torch.relu, tuple(WindowPlan((4, 4, 4), (4, 4, 4), 0)), label_count=2)


def test_voxels_in_no_window_are_counted():
    with pytest.raises(ValueError, match="64 voxels"):
        predict_volume(torch.zeros(1, 8, 4, 4), torch.relu, [Window((0, 0, 0), (4, 4, 4))], label_count=1)


def test_windows_of_two_shapes_and_no_windows_are_refused():
    two = [Window((0, 0, 0), (4, 4, 4)), Window((0, 0, 0), (4, 4, 3))]
    for windows in (two, []):
        with pytest.raises(ValueError, match="one shape"):
            predict_volume(torch.zeros(1, 4, 4, 4), torch.relu, windows, label_count=1)

"""A prepared array in, probabilities out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from medseg.inference.predictor import HalfPrecisionOverflow, pad_to_window
from medseg.spec.errors import Cancelled, JobError
from planned import predict

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(4, 3, 1)).eval()


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(1, 16, 9, 8)).astype(np.float32)


@pytest.mark.parametrize("shape", [(16, 9, 8), (5, 6, 4), (3, 2, 1), (8, 15, 3), (1, 12, 4)])
def test_probabilities_equal_monai_also_where_the_volume_is_smaller_than_the_window(network, manifest, shape):
    array = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    ours = predict(array, network, manifest, device=CPU, window_batch=2)
    with torch.no_grad():
        logits = sliding_window_inference(torch.from_numpy(array)[None], (8, 6, 4), 2, network, 0.5, mode="gaussian")
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, torch.softmax(logits[0], 0).numpy(), rtol=1e-4, atol=1e-6)


def test_probabilities_sum_to_one_on_the_grid_that_came_in(network, manifest, array):
    scores = predict(array, network, manifest, device=CPU)
    assert scores.shape == (3, 16, 9, 8)
    np.testing.assert_allclose(scores.sum(0), 1, rtol=1e-5)


def test_overlap_and_batch_of_the_request_win_over_the_manifest(network, manifest, array):
    told = []
    predict(array, network, manifest, device=CPU, overlap=0.0, window_batch=5, on_window=lambda *n: told.append(n))
    assert told == [(5, 8), (8, 8)]  # 2 x 2 x 2 windows


def test_mirroring_follows_the_manifest_unless_it_is_asked_for_or_refused(network, manifest, array):
    sided = replace(manifest, mirror_axes=(0,))
    plain = predict(array, network, manifest, device=CPU)
    both = predict(array, network, sided, device=CPU)
    np.testing.assert_array_equal(predict(array, network, sided, device=CPU, mirror=False), plain)
    np.testing.assert_array_equal(predict(array, network, sided, device=CPU, mirror=True), both)
    other_side = predict(array[:, ::-1], network, sided, device=CPU)[:, ::-1]
    np.testing.assert_allclose(other_side, both, rtol=1e-4, atol=1e-6)
    assert np.abs(both - plain).max() > 1e-3


def test_a_model_that_names_no_axes_is_never_shown_mirrored_anatomy(network, manifest, array):
    with pytest.raises(JobError, match="names no axes to mirror"):
        predict(array, network, manifest, device=CPU, mirror=True)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_comes_close_to_single_precision(network, manifest, array, precision):
    half = predict(array, network, manifest, device=CPU, precision=precision)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, predict(array, network, manifest, device=CPU), atol=0.02)


def test_arrays_that_are_views_or_read_only_are_taken_and_left_alone(network, manifest, array):
    expected = predict(array, network, manifest, device=CPU)
    view = array[:, ::-1][:, ::-1]
    view.flags.writeable = False
    np.testing.assert_array_equal(predict(view, network, manifest, device=CPU), expected)
    before = array.copy()
    predict(array, network, manifest, device=CPU)
    np.testing.assert_array_equal(array, before)


def test_cancelling_ends_the_prediction(network, manifest, array):
    def cancel(_done, _total):
        raise Cancelled

    with pytest.raises(Cancelled):
        predict(array, network, manifest, device=CPU, on_window=cancel)


def test_another_number_of_channels_is_refused_by_name(network, manifest, array):
    with pytest.raises(JobError, match=r"tiny takes 1 channel\(s\) \(T1\), got 2"):
        predict(np.concatenate([array, array]), network, manifest, device=CPU)


class Large(torch.nn.Module):
    """Multiplies inside a convolution, which autocast runs in half precision."""

    def __init__(self, factor):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 3, 1)
        torch.nn.init.constant_(self.conv.weight, factor)

    def forward(self, windows):
        return self.conv(windows)


def test_an_answer_beyond_half_precision_has_an_error_of_its_own_that_names_the_way_out(manifest, array):
    network = Large(1e6)
    with pytest.raises(HalfPrecisionOverflow, match=r"not finite in float16; try precision float32"):
        predict(array, network, manifest, device=CPU, precision="float16")
    assert np.isfinite(predict(array, network, manifest, device=CPU)).all()


def test_an_answer_that_is_not_finite_in_single_precision_is_refused_without_a_promise(manifest, array):
    with pytest.raises(JobError, match=r"not finite in float32; check the image") as caught:
        predict(array, Large(np.inf), manifest, device=CPU)
    assert not isinstance(caught.value, HalfPrecisionOverflow)


def test_the_number_of_threads_and_gradients_stay_as_they_were(network, manifest, array):
    before = torch.get_num_threads(), torch.is_grad_enabled()
    predict(array, network, manifest, device=CPU)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_padding_is_zero_on_both_sides_and_comes_off_again():
    volume = torch.randn(2, 3, 9, 4)
    padded, inside = pad_to_window(volume, (8, 8, 8))
    assert padded.shape == (2, 8, 9, 8)
    torch.testing.assert_close(padded[inside], volume)
    torch.testing.assert_close(padded.sum(), volume.sum())
    assert [part.start for part in inside[1:]] == [2, 0, 2]


def test_a_layout_chosen_for_speed_changes_no_value(network, manifest, array):
    other = replace(manifest, network="dlka_net")
    plain = predict(array, network, other, device=CPU)
    np.testing.assert_allclose(predict(array, network, manifest, device=CPU), plain, rtol=1e-5, atol=1e-7)


def test_network_and_answer_live_where_they_are_told_to(manifest, array):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 3, padding=1)
    on_cpu = predict(array, network, manifest, device=CPU)
    on_card = predict(array, network, manifest, device=torch.device("cuda:0"), window_batch=4)
    np.testing.assert_allclose(on_card, on_cpu, atol=1e-3)

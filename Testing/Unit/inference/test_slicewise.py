"""2D networks over a volume: the same operation on the whole volume is the truth, and MONAI's own slice inferer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.inferers import SliceInferer
from torch.nn import functional

from medseg.inference.predictor import HalfPrecisionOverflow
from medseg.inference.slicewise import add_border_slices, slicewise
from medseg.inference.sliding_window import SIGMA_SHARE, predict_volume
from medseg.inference.windows import WindowPlan
from medseg.spec.errors import Cancelled, JobError
from medseg.spec.manifest import ChannelSpec, SliceRule
from planned import predict

CPU = torch.device("cpu")
SHAPE = (11, 9, 10)


class Answer(torch.nn.Module):
    """A network that is a formula of the slice it is shown, ``(B, C, h, w)`` -> ``(B, L, h, w)``."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula
        self.seen = []

    def forward(self, slices):
        assert slices.ndim == 4
        self.seen.append(tuple(slices.shape))
        return self.formula(slices)


def pick(channel):
    """Logits 0, that of one channel, and a constant."""
    return Answer(lambda x: torch.cat([torch.zeros_like(x[:, :1]), x[:, channel : channel + 1], x[:, :1] * 0 - 1], 1))


def across(manifest, axis, **rule):
    """The model of a 2D network; windows in its slices are two of 8, 6, 4 voxels."""
    window = [8, 6, 4]
    window[axis] = 1
    return replace(manifest, window_shape=tuple(window), slices=SliceRule(axis=axis, **rule))


def logits_of(probabilities):
    """Undo a softmax up to the first label's logit, which is 0 here."""
    return np.log(probabilities / probabilities[0])


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)


@pytest.fixture
def network():
    """A 2D network that sees places and neighbours, one channel in, three labels out."""
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(4, 3, (3, 1), padding=(1, 0))
    return torch.nn.Sequential(*layers).eval()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_formula_of_each_voxel_gives_what_it_gives_on_the_volume(manifest, array, axis):
    found = predict(array, pick(0), across(manifest, axis), device=CPU)
    np.testing.assert_allclose(logits_of(found)[1], array[0], atol=2e-6)
    np.testing.assert_array_equal(found.argmax(0) == 1, array[0] > 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_and_columns_of_the_network_are_the_other_two_axes_in_their_order(manifest, array, axis):
    """The difference to the next row, twice that to the next column: a swapped or reversed axis shows."""
    kernel = torch.tensor([[-3.0, 2.0], [1.0, 0.0]])[None, None]

    def differences(x):
        answer = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), kernel)
        return torch.cat([torch.zeros_like(answer), answer, answer * 0 - 1], 1)

    rows, columns = (a for a in range(3) if a != axis)
    ahead = [np.roll(np.pad(array[0], [(0, 1)] * 3), -1, a)[:-1, :-1, :-1] for a in (rows, columns)]
    window = list(SHAPE)
    window[axis] = 1  # one window sees the whole slice, so that no window's border shows
    model = replace(manifest, window_shape=tuple(window), slices=SliceRule(axis=axis))
    found = predict(array / 4, Answer(differences), model, device=CPU)
    np.testing.assert_allclose(logits_of(found)[1], (ahead[0] + 2 * ahead[1] - 3 * array[0]) / 4, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("batch", [1, 7])
def test_probabilities_equal_monais_slice_inferer_on_the_same_windows(manifest, network, axis, batch):
    shape = [12, 9, 8]  # windows of 8, 6, 4 lie alike in both
    shape[axis] = 5
    array = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    model = across(manifest, axis)
    ours = predict(array, network, model, device=CPU, window_batch=batch)
    inferer = SliceInferer(
        spatial_dim=axis, roi_size=model.network_shape, sw_batch_size=3, overlap=0.5, mode="gaussian",
        sigma_scale=SIGMA_SHARE,
    )  # fmt: skip
    with torch.no_grad():
        theirs = torch.softmax(inferer(torch.from_numpy(array)[None], network)[0], 0).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("context", [1, 2])
def test_neighbouring_slices_are_channels_and_the_border_slice_is_repeated(manifest, axis, context):
    array = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    model = replace(
        across(manifest, axis, context=context),
        channels=tuple(ChannelSpec(name=name, modality="MR") for name in ("T1", "T2")),
    )
    places = np.arange(SHAPE[axis])
    for step in range(-context, context + 1):
        neighbours = array.take((places + step).clip(0, SHAPE[axis] - 1), axis=axis + 1)
        for channel in range(2):
            network = pick(2 * (step + context) + channel)
            found = predict(array, network, model, device=CPU, window_batch=4)
            np.testing.assert_allclose(logits_of(found)[1], neighbours[channel], atol=2e-6)
            assert {shape[1] for shape in network.seen} == {model.network_channels} == {2 * (2 * context + 1)}


@pytest.mark.parametrize("shape", [(1, 9, 10), (11, 2, 3), (2, 6, 4)])
def test_volumes_of_one_slice_and_slices_below_a_window_are_taken(manifest, shape):
    array = np.random.default_rng(3).normal(size=(1, *shape)).astype(np.float32)
    network = pick(1)
    found = predict(array, network, across(manifest, 0, context=1), device=CPU)
    assert {size[2:] for size in network.seen} == {(6, 4)}
    np.testing.assert_allclose(logits_of(found)[1], array[0], atol=2e-6)


def test_a_batch_holds_slices_and_progress_counts_them(manifest, array):
    model = replace(across(manifest, 2), window_shape=(11, 9, 1))
    told, network = [], pick(0)
    predict(array, network, model, device=CPU, window_batch=4, on_window=lambda *n: told.append(n))
    assert told == [(4, 10), (8, 10), (10, 10)]
    assert network.seen == [(4, 1, 11, 9), (4, 1, 11, 9), (2, 1, 11, 9)]


def test_cancelling_ends_the_slices(manifest, array):
    network = pick(0)

    def cancel(done, _total):
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        predict(array, network, across(manifest, 1), device=CPU, on_window=cancel)
    assert len(network.seen) == 3


def test_mirroring_averages_the_logits_of_the_flipped_slices(manifest, network, array):
    window = (11, 1, 10)
    model = replace(across(manifest, 1), window_shape=window)
    sided = replace(model, mirror_axes=(0, 2))
    with torch.no_grad():
        slices = torch.from_numpy(array[0]).permute(1, 0, 2)[:, None]
        flips = [(), (2,), (3,), (2, 3)]
        mean = sum(network(slices.flip(dims)).flip(dims) for dims in flips) / 4
    expected = torch.softmax(mean, 1).permute(1, 2, 0, 3).numpy()
    np.testing.assert_allclose(predict(array, network, sided, device=CPU), expected, atol=1e-6)
    assert np.abs(predict(array, network, sided, device=CPU, mirror=False) - expected).max() > 1e-3


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sums_are_single_precision_also_where_the_network_is_not(manifest, array, network, precision):
    model = replace(across(manifest, 0), overlap=0.9)
    half = predict(array, network, model, device=CPU, precision=precision)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, predict(array, network, model, device=CPU), atol=0.02)


def test_values_beyond_half_precision_are_told_as_for_volumes(manifest, array):
    network = torch.nn.Conv2d(1, 3, 1)
    torch.nn.init.constant_(network.weight, 1e6)
    with pytest.raises(HalfPrecisionOverflow, match="try precision float32"):
        predict(array, network, across(manifest, 0), device=CPU, precision="float16")


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        (lambda x: [x], "got list"),
        (lambda x: x[:, 0], r"got \(1, 8, 6\)"),
        (lambda x: x[..., :3].repeat(1, 3, 1, 1), r"got \(1, 3, 8, 3\)"),
    ],
    ids=["a list", "no channels", "another size"],
)
def test_an_answer_that_is_not_logits_of_the_slice_is_refused(manifest, array, formula, found):
    with pytest.raises(JobError, match=rf"slices of \(1, 1, 8, 6\) with logits of that size, {found}"):
        predict(array, Answer(formula), across(manifest, 2), device=CPU)


def test_a_layout_chosen_for_speed_changes_no_value(manifest, network, array):
    model = across(manifest, 1)
    plain = predict(array, network, replace(model, network="mslau_net"), device=CPU)
    np.testing.assert_allclose(predict(array, network, model, device=CPU), plain, rtol=1e-5, atol=1e-7)


def test_without_neighbours_no_slice_is_copied():
    volume = torch.randn(2, 3, 4, 5)
    assert add_border_slices(volume, SliceRule(axis=1)) is volume
    wider = add_border_slices(volume, SliceRule(axis=1, context=2))
    assert wider.shape == (2, 3, 8, 5)
    torch.testing.assert_close(wider[:, :, 2:6], volume, rtol=0, atol=0)


def test_a_wrapped_network_answers_one_slice_for_three(network):
    windows = torch.randn(4, 1, 5, 3, 6)
    with torch.no_grad():
        found = slicewise(lambda x: network(x[:, 1:2]), SliceRule(axis=1, context=1))(windows)
        torch.testing.assert_close(found, network(windows[:, :, :, 1])[:, :, :, None], rtol=0, atol=0)


def stitched_before(volume, network, windows, weights, labels):
    """What ``predict_volume`` did before it knew a margin."""
    total = torch.zeros((labels, *volume.shape[1:]))
    seen = torch.zeros(volume.shape[1:])
    for window in windows:
        seen[window.slices] += weights
    for first in range(0, len(windows), 2):
        group = windows[first : first + 2]
        logits = network(torch.stack([volume[(slice(None), *window.slices)] for window in group]))
        for window, answer in zip(group, logits, strict=True):
            total[(slice(None), *window.slices)] += answer * weights
    return total.div_(seen)


def test_3d_networks_get_the_same_scores_as_before(manifest):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Conv3d(4, 3, 1)).eval()
    volume = torch.randn(1, 17, 11, 9)
    windows = tuple(WindowPlan((17, 11, 9), (8, 6, 4), 0.5))
    weights = torch.ones(())
    for size in (8, 6, 4):
        offset = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (offset / (SIGMA_SHARE * size)) ** 2)
    with torch.inference_mode():
        before = stitched_before(volume, network, windows, weights.clamp(min=1e-3), 3)
        torch.testing.assert_close(
            predict_volume(volume, network, windows, label_count=3, batch=2), before, rtol=1e-5, atol=1e-6
        )
        found = predict(volume.numpy(), network, replace(manifest, network="plain"), device=CPU, window_batch=2)
        scores = torch.stack([torch.softmax(plane, 0) for plane in before.unbind(1)], 1)
    np.testing.assert_allclose(found, scores.numpy(), rtol=1e-5, atol=1e-6)

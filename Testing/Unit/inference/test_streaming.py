"""Streaming: the labels are those of the plain path, whatever the grids, the windows and the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.imaging.image import Image
from medseg.inference.predictor import HalfPrecisionOverflow, network_shape, sample_windows
from medseg.inference.streaming import _groups
from medseg.kernels.engines.torch_engine import torch_engine
from medseg.spec.errors import Cancelled, JobError
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, OverlapRule, SliceRule
from planned import plan_array, predict, predict_labels, prepare
from small_manifest import small_manifest

CPU = torch.device("cpu")
CODE = Code("SCT", "123037004", "Anatomical Structure")
AS_THEY_ARE = IntensityRule(kind="none")


def named(count):
    return tuple(
        LabelSpec(value=value, name=f"{value}", color=(1, 2, 3), category=CODE, type=CODE) for value in range(1, count)
    )


def model(labels=4, **fields):
    """A model with so many labels, background included."""
    return small_manifest(**{"labels": named(labels), "window_shape": (6, 5, 4), "intensity": AS_THEY_ARE} | fields)


def convolutions(labels, channels=1, seed=0):
    """A network that sees its surroundings and where in the window a voxel lies."""
    torch.manual_seed(seed)
    layers = torch.nn.Conv3d(channels, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(4, labels, 1)
    return torch.nn.Sequential(*layers).eval()


def noise(shape, spacing=(1, 1, 1), channels=1, seed=0):
    array = np.random.default_rng(seed).normal(size=(channels, *shape)).astype(np.float32)
    return Image(array, np.diag([*spacing, 1.0]))


def plainly(prepared, network, manifest, **choices):
    """Scores of the whole volume, brought back label by label."""
    return prepared.restore_labels(predict(prepared.image.array, network, manifest, device=CPU, **choices))


def same(prepared, network, manifest, **choices):
    """Streamed labels, after they were found to be the plain path's, but for one tie in ten million voxels."""
    found = predict_labels(prepared, network, manifest, device=CPU, **choices)
    expected = plainly(prepared, network, manifest, **choices)
    assert found.labels.dtype == expected.dtype
    assert np.count_nonzero(found.labels != expected) <= expected.size // 10_000_000
    return found


sizes = st.tuples(*[st.integers(1, 17)] * 3)
spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.3, 2.0])] * 3)


@settings(max_examples=60, deadline=None)
@given(
    shape=sizes,
    window=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=spacings,
    wanted=st.sampled_from([None, (1.0, 1.0, 1.0), (1.3, 0.7, 1.0)]),
    orientation=st.sampled_from(["RAS", "LPS", "PIR", "SAR", "IRP"]),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9]),
    labels=st.sampled_from([2, 3, 14]),
    mirror_axes=st.sampled_from([(), (1,), (0, 2)]),
    batch=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_labels_are_those_of_the_plain_path(
    shape, window, spacing, wanted, orientation, overlap, labels, mirror_axes, batch, seed
):
    manifest = model(
        labels,
        window_shape=window,
        spacing_mm=wanted,
        orientation=orientation,
        overlap=overlap,
        mirror_axes=mirror_axes,
    )
    prepared = prepare(noise(shape, spacing, seed=seed), manifest)
    same(prepared, convolutions(labels, seed=seed), manifest, window_batch=batch)


@settings(max_examples=40, deadline=None)
@given(
    shape=sizes,
    window=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=spacings,
    wanted=st.sampled_from([None, (1.3, 0.7, 1.0)]),
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
    count=st.sampled_from([1, 3, 8, 9, 31]),
    air=st.sampled_from([None, (0.5,)]),
    seed=st.integers(0, 99),
)
def test_labels_that_overlap_are_those_of_the_plain_path(shape, window, spacing, wanted, threshold, count, air, seed):
    rule = OverlapRule(threshold=threshold, order=tuple(range(1, count + 1)))
    manifest = model(count + 1, window_shape=window, spacing_mm=wanted, overlapping=rule)
    network = convolutions(count, seed=seed)
    same(prepare(noise(shape, spacing, seed=seed), manifest), network, manifest)
    if air is None:
        return
    airy = replace(manifest, air_below=air)
    image = noise(shape, spacing, seed=seed)
    image.array[:, shape[0] // 2 :] = -9.0
    prepared = prepare(image, airy)
    found = predict_labels(prepared, network, airy, device=CPU)
    if found.windows == 0:
        assert not found.labels.any()


def test_the_probability_of_a_label_that_may_overlap_is_the_sigmoid_of_its_output():
    manifest = model(3, overlapping=OverlapRule(threshold=0.7, order=(2, 1)))
    network = convolutions(2)
    image = noise((6, 5, 4))
    prepared = prepare(image, manifest)
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(image.array[None])))[0].numpy()
    np.testing.assert_allclose(predict(prepared.image.array, network, manifest, device=CPU), expected, atol=1e-6)
    bits = predict_labels(prepared, network, manifest, device=CPU).labels
    for number, probability in enumerate(expected):
        clear = abs(probability - 0.7) > 1e-5
        np.testing.assert_array_equal(((bits >> number) & 1)[clear], (probability >= 0.7)[clear])
    assert 0 < bits.astype(bool).mean() < 1


@settings(max_examples=20, deadline=None)
@given(shape=sizes, spacing=spacings, fractions=st.tuples(*[st.floats(0, 0.99)] * 6), seed=st.integers(0, 99))
def test_labels_of_a_region_are_those_of_the_plain_path(shape, spacing, fractions, seed):
    box = []
    for size, low, high in zip(shape, fractions[::2], fractions[1::2], strict=True):
        first, last = sorted((int(low * size), int(high * size)))
        box += [first, last + 1]
    manifest = model(spacing_mm=(1.0, 1.0, 1.0), crop_to_body=True)
    prepared = prepare(noise(shape, spacing, seed=seed), manifest, roi_voxels=tuple(box))
    same(prepared, convolutions(4, seed=seed), manifest)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("fit", ["windows", "resize"])
@pytest.mark.parametrize("region", [None, (2, 9, 1, 8, 3, 7)])
def test_labels_of_networks_that_read_slices_are_those_of_the_plain_path(axis, fit, region):
    window = [6, 5, 7]
    window[axis] = 1
    manifest = model(3, window_shape=tuple(window), slices=SliceRule(axis=axis, context=1, fit=fit))
    torch.manual_seed(axis)
    network = torch.nn.Conv2d(3, 3, 3, padding=1).eval()
    prepared = prepare(noise((11, 9, 10)), manifest, roi_voxels=region)
    same(prepared, network, manifest, window_batch=3)


@pytest.mark.parametrize(("labels", "dtype"), [(256, np.uint8), (257, np.uint16), (300, np.uint16)])
@pytest.mark.parametrize("spacing", [1.0, 1.4])
def test_hundreds_of_labels_take_two_bytes_and_are_all_named(labels, dtype, spacing):
    manifest = model(labels, spacing_mm=(spacing, 1.0, spacing))
    prepared = prepare(noise((12, 9, 8)), manifest)
    values = torch.linspace(-2, 2, labels).view(1, -1, 1, 1, 1)

    def nearest(windows):
        """The class whose value is nearest to the voxel's."""
        return 9 * (windows * values - values.square() / 2)

    found = same(prepared, nearest, manifest, engine=nearest)
    assert found.labels.dtype == dtype
    assert found.labels.max() > 0.7 * labels
    assert found.labels.min() < 0.3 * labels


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("spacing", [1.0, 0.7])
def test_half_precision_answers_are_summed_in_single_precision(precision, spacing):
    manifest = model(spacing_mm=(spacing, spacing, spacing))
    prepared = prepare(noise((13, 9, 8)), manifest)
    same(prepared, convolutions(4), manifest, precision=precision)


def test_several_channels_and_an_engine_laid_out_channels_last_give_the_same_labels():
    channels = (ChannelSpec(name="T1", modality="MR"), ChannelSpec(name="T2", modality="MR"))
    manifest = model(channels=channels, window_shape=(8, 8, 8))
    network = convolutions(4, channels=2).to(memory_format=torch.channels_last_3d)
    prepared = prepare(noise((19, 12, 9), channels=2), manifest)
    engine = torch_engine(network, network_shape(manifest), device=CPU)
    same(prepared, network, manifest, engine=engine, window_batch=2)

    def last(windows):
        return network(windows).contiguous(memory_format=torch.channels_last_3d)

    assert last(torch.zeros(1, 2, 8, 8, 8)).stride()[-1] == 4
    same(prepared, network, manifest, engine=last)


def test_two_equal_classes_become_the_lower_one_in_the_middle_of_windows_and_between_voxels():
    manifest = model(3, spacing_mm=(2.0, 2.0, 2.0))
    prepared = prepare(noise((12, 12, 12)), manifest)
    found = predict_labels(prepared, lambda x: torch.cat([-x.abs() - 1, x, x], 1), manifest, device=CPU, engine=double)
    assert set(np.unique(found.labels)) == {0, 1}


def double(x):
    """Background where the voxel is negative, else two classes alike."""
    return torch.cat([torch.zeros_like(x), x, x], 1)


def test_windows_are_counted_and_told_and_whatever_is_raised_stops_the_work():
    manifest = model()
    prepared = prepare(noise((14, 9, 8)), manifest)
    told = []
    found = same(prepared, convolutions(4), manifest, window_batch=3, on_window=lambda *now: told.append(now))
    count = len(plan_array(prepared.image.array, manifest).windows)
    assert found.windows == count
    assert found.skipped == 0
    half = told[: len(told) // 2]  # the plain path tells the same a second time
    assert half == told[len(told) // 2 :]
    assert half[-1] == (count, count)
    assert set(found.seconds) == {"network", "stitch", "decode"}
    assert all(seconds > 0 for seconds in found.seconds.values())

    def cancel(_done, _total):
        raise Cancelled

    with pytest.raises(Cancelled):
        predict_labels(prepared, convolutions(4), manifest, device=CPU, on_window=cancel)


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_the_way_out_in_half_precision(spacing, wrong):
    manifest = model(spacing_mm=(spacing, spacing, spacing))
    prepared = prepare(noise((20, 10, 12)), manifest)

    def broken(windows):
        logits = torch.cat([windows] * 4, 1)
        logits[:, 2] = torch.where(windows[:, 0] == prepared.image.array.max(), wrong, logits[:, 2])
        return logits

    with pytest.raises(JobError, match="not finite in float32; check the image") as caught:
        predict_labels(prepared, broken, manifest, device=CPU, engine=broken)
    assert not isinstance(caught.value, HalfPrecisionOverflow)
    with pytest.raises(HalfPrecisionOverflow, match="try precision float32"):
        predict_labels(prepared, broken, manifest, device=CPU, engine=broken, precision="float16")


def test_an_answer_of_another_shape_and_other_channels_are_refused():
    manifest = model()
    prepared = prepare(noise((8, 8, 8)), manifest)
    with pytest.raises(ValueError, match=r"must answer \(1, 4, 6, 5, 4\), got \(1, 1, 6, 5, 4\)"):
        predict_labels(prepared, torch.relu, manifest, device=CPU, engine=torch.relu)
    two = replace(manifest, channels=(ChannelSpec(name="T1", modality="MR"), ChannelSpec(name="T2", modality="MR")))
    with pytest.raises(JobError, match=r"takes 2 channel\(s\) \(T1, T2\), got 1"):
        predict_labels(prepared, torch.relu, two, device=CPU, engine=torch.relu)


def test_the_samples_for_comparing_engines_are_windows_of_the_image_that_differ_most_in_themselves():
    manifest = model(window_shape=(8, 8, 8))
    image = noise((32, 24, 16))
    image.array[:, :16] = 0
    array = prepare(image, manifest).image.array
    windows = sample_windows(array, plan_array(array, manifest))
    assert windows.shape == (3, *network_shape(manifest))
    assert windows.flatten(1).std(1).min() > 0.5
    slices = model(window_shape=(8, 8, 1), slices=SliceRule(axis=2, context=1))
    assert sample_windows(array, plan_array(array, slices)).shape == (3, *network_shape(slices))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("spacing", [1.0, 0.7])
def test_a_graphics_card_gives_the_labels_of_the_processor(spacing):
    manifest = model(window_shape=(16, 16, 16), spacing_mm=(spacing, spacing, spacing))
    prepared = prepare(noise((40, 33, 20)), manifest)

    def exact(x):
        return torch.cat([torch.zeros_like(x), x, 2 * x - 1, 0.5 - x], 1)

    on_cpu = predict_labels(prepared, exact, manifest, device=CPU, engine=exact)
    on_card = predict_labels(prepared, exact, manifest, device=torch.device("cuda:0"), engine=exact, window_batch=3)
    assert np.count_nonzero(on_cpu.labels != on_card.labels) <= 2


class Counted:
    """A truth value that counts how often it is asked for."""

    asked = 0

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        Counted.asked += 1
        return self.value


@settings(max_examples=50, deadline=None)
@given(air=st.lists(st.booleans(), min_size=1, max_size=40), batch=st.integers(1, 5))
def test_windows_are_grouped_by_batches_of_those_that_are_not_air_and_each_is_looked_at_once(air, batch):
    plan = plan_array(np.empty((1, 6 * len(air), 5, 4)), model(overlap=0.0), device=CPU, window_batch=batch)
    assert len(plan.windows) == len(air)
    Counted.asked = 0
    answers = iter(map(Counted, air))
    groups = [[(window, found.value) for window, found in group] for group in _groups(plan, lambda _: next(answers))]
    assert Counted.asked <= len(air)
    expected, group = [], []
    for pair in zip(plan.windows, air, strict=True):
        group.append(pair)
        if sum(not is_air for _, is_air in group) == batch:
            expected.append(group)
            group = []
    assert groups == expected + [group] * bool(group)

"""Air: windows that hold nothing else are not run, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medseg.imaging.image import Image
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec
from planned import predict_labels, prepare
from small_manifest import small_manifest

CPU = torch.device("cpu")
CODE = Code("SCT", "123037004", "Anatomical Structure")
LABELS = tuple(LabelSpec(value=n, name=f"{n}", color=(1, 2, 3), category=CODE, type=CODE) for n in (1, 2))


@pytest.fixture
def scan():
    """A body of noise around 50 HU in air at -1000 HU."""
    array = np.random.default_rng(0).normal(50, 40, (1, 48, 40, 32)).astype(np.float32)
    i, j, k = np.indices(array.shape[1:])
    array[0][(i - 16) ** 2 + (j - 18) ** 2 + 2 * (k - 12) ** 2 > 130] = -1000
    return Image(array)


def manifest(**fields):
    rule = IntensityRule(kind="clip_zscore", lower=-1000, upper=300, mean=0, std=100)
    given = {"labels": LABELS, "window_shape": (8, 8, 8), "intensity": rule}
    return small_manifest(**given | fields)


def tissue(x):
    """Background in air, the first label up to 60 HU, the second beyond."""
    return torch.cat([-x - 3, 0.1 - (x - 0.4).abs(), (x - 0.6) * 4 - 0.2], 1)


def run(scan, model, network=tissue, **choices):
    calls = []

    def counting(windows):
        calls.append(len(windows))
        return network(windows)

    found = predict_labels(prepare(scan, model), network, model, device=CPU, engine=counting, **choices)
    assert sum(calls) == found.windows
    return found


@pytest.mark.parametrize("spacing", [None, (1.4, 1.4, 1.4), (0.8, 1.0, 0.8)])
@pytest.mark.parametrize("batch", [1, 3])
def test_labels_stay_as_they_are_and_fewer_windows_are_run(scan, spacing, batch):
    plain = run(scan, manifest(spacing_mm=spacing), window_batch=batch)
    told = []
    saving = manifest(spacing_mm=spacing, air_below=(-700.0,))
    spared = run(scan, saving, window_batch=batch, on_window=lambda *now: told.append(now))
    np.testing.assert_array_equal(spared.labels, plain.labels)
    assert set(np.unique(plain.labels)) == {0, 1, 2}
    assert plain.skipped == 0
    assert spared.windows + spared.skipped == plain.windows
    assert spared.windows < 0.7 * plain.windows
    assert told[-1] == (plain.windows, plain.windows)


def test_an_image_of_air_alone_is_background_without_a_network(scan):
    nothing = Image(np.full_like(scan.array, -1000))

    def never(_windows):
        raise AssertionError

    for spacing in (None, (2.0, 2.0, 2.0)):
        found = run(nothing, manifest(air_below=(-700.0,), spacing_mm=spacing), never)
        assert found.windows == 0
        assert not found.labels.any()


def test_a_window_counts_as_air_only_where_all_channels_say_so(scan):
    second = scan.array.copy()
    second[0, 40:] = 500
    both = Image(np.concatenate([scan.array, second]))
    channels = (ChannelSpec(name="CT", modality="CT"), ChannelSpec(name="PT", modality="PT"))
    model = manifest(channels=channels, air_below=(-700.0, -700.0))
    prepared = prepare(both, model)
    np.testing.assert_array_equal(prepared.air, (scan.array[0] < -700) & (second[0] < -700))
    found = predict_labels(prepared, None, model, device=CPU, engine=lambda x: tissue(x[:, :1]))
    alone = run(scan, manifest(air_below=(-700.0,)))
    assert found.windows > alone.windows
    np.testing.assert_array_equal(found.labels, alone.labels)


def test_what_is_no_number_is_air_and_one_voxel_at_the_limit_is_not():
    array = np.full((1, 16, 8, 8), np.nan, dtype=np.float32)
    array[0, 10, 4, 4] = -700
    model = manifest(air_below=(-700.0,), overlap=0.0)
    prepared = prepare(Image(array), model)
    assert np.argwhere(~prepared.air).tolist() == [[10, 4, 4]]
    assert run(Image(array), model).windows == 1


def test_a_model_says_nothing_about_air_unless_it_is_told_to(scan):
    assert manifest().air_below is None
    assert prepare(scan, manifest()).air is None


@pytest.mark.parametrize("wrong", [(), (-500.0, -500.0), (float("nan"),), (float("inf"),)])
def test_a_threshold_is_one_finite_number_a_channel(wrong):
    with pytest.raises(ManifestError, match="air_below: expected 1 finite number"):
        replace(manifest(), air_below=wrong)

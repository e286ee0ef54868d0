"""A manifest that could not be run is never built."""

from dataclasses import replace
from itertools import permutations, product

import pytest

from medseg.spec.errors import ManifestError
from medseg.spec.manifest import (
    ChannelSpec,
    Code,
    IntensityRule,
    LabelSpec,
    ModelManifest,
    PostprocessRule,
    SliceRule,
    is_orientation,
)

ORGAN = Code("SCT", "113343008", "Organ")


def label(value=1, name="part", color=(1, 2, 3)):
    return LabelSpec(value=value, name=name, color=color, category=ORGAN, type=ORGAN)


@pytest.fixture
def manifest():
    return ModelManifest(
        model_id="a",
        title="A",
        version="1",
        description="",
        network="ultralight_unet",
        labels=(label(),),
        channels=(ChannelSpec(name="T1", modality="MR"),),
        intensity=IntensityRule(kind="none"),
        window_shape=(8, 8, 8),
        anatomy="",
        intended_use="",
        licence="",
        authors="",
        training_data="",
    )


def test_the_label_count_includes_the_background(manifest):
    assert manifest.label_count == 2


@pytest.mark.parametrize(
    ("axis", "window", "plane"), [(0, (1, 6, 4), (6, 4)), (1, (8, 1, 4), (8, 4)), (2, (8, 6, 1), (8, 6))]
)
def test_a_2d_network_takes_a_plane_and_the_channels_of_all_slices_it_sees(manifest, axis, window, plane):
    model = replace(manifest, window_shape=window, slices=SliceRule(axis=axis, context=2))
    assert (model.network_shape, model.network_channels) == (plane, 5)
    assert (manifest.network_shape, manifest.network_channels) == ((8, 8, 8), 1)


def test_forty_eight_of_all_three_letter_words_are_orientations():
    words = ["".join(letters) for letters in product("RLAPSI", repeat=3)]
    expected = {"".join(w) for pairs in permutations(("RL", "AP", "SI")) for w in product(*pairs)}
    assert {word for word in words if is_orientation(word)} == expected
    assert len(expected) == 48
    assert not is_orientation("RA")
    assert not is_orientation("RASX")
    assert not is_orientation("RAX")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ()}, r"labels: expected values 1, 2, \.\.\. in order, at least one, got \[\]"),
        ({"labels": (label(2), label(1, "b"))}, r"labels: .* got \[2, 1\]"),
        ({"labels": (label(1), label(2))}, r"labels: expected names that differ, got \['part'\]"),
        ({"channels": ()}, "channels: expected at least one"),
        ({"orientation": "ras"}, "orientation: .* got 'ras'"),
        ({"spacing_mm": (1.0, float("nan"), 1.0)}, "spacing_mm: expected three positive numbers"),
        ({"spacing_mm": (1.0, float("inf"), 1.0)}, "spacing_mm: expected three positive numbers"),
        ({"window_shape": (8, 8, 0)}, "window_shape: expected three integers from 1"),
        ({"overlap": -0.1}, r"overlap: expected a number 0\.\.0\.9"),
        ({"overlap": float("nan")}, r"overlap: expected a number 0\.\.0\.9"),
        ({"mirror_axes": (0, 0)}, "mirror_axes: expected axes out of 0, 1, 2"),
        ({"mirror_axes": (-1,)}, "mirror_axes: expected axes out of 0, 1, 2"),
        ({"slices": SliceRule(axis=1)}, r"window_shape: expected 1 voxel along j, since .* got \[8, 8, 8\]"),
        (
            {"slices": SliceRule(axis=2), "window_shape": (8, 8, 1), "mirror_axes": (0, 2)},
            r"mirror_axes: expected axes that lie in the slices, which are across k, got \[0, 2\]",
        ),
        (
            {"slices": SliceRule(axis=0), "window_shape": (1, 8, 8), "arguments": {"spatial_dims": 3}},
            "arguments: expected spatial_dims 2 for a network that reads slices, got 3",
        ),
        ({"model_id": "Über/../x"}, "model_id: expected lower-case letters"),
        ({"version": ""}, "version: expected some text"),
    ],
)
def test_an_impossible_model_is_refused_by_field_and_value(manifest, changes, words):
    with pytest.raises(ManifestError, match=words):
        replace(manifest, **changes)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: label(value=0), "value: expected an integer from 1"),
        (lambda: label(name=" "), "name: expected some text"),
        (lambda: label(color=(0, -1, 0)), r"color: expected three integers 0\.\.255 .* got \[0, -1, 0\]"),
        (lambda: Code("SCT", "", "Organ"), "value: expected some text"),
        (lambda: ChannelSpec(name="T1", modality="MR", pattern="("), "pattern: expected a regular expression"),
        (lambda: IntensityRule(kind="z"), "kind: expected one of none, zscore"),
        (lambda: IntensityRule(kind="clip_unit", lower=1.0), "upper: expected a finite number .* got None"),
        (lambda: IntensityRule(kind="clip_unit", lower=1.0, upper=float("inf")), "upper: expected a finite number"),
        (
            lambda: IntensityRule(kind="clip_unit", lower=1.0, upper=1.0),
            r"upper: expected more than lower, which is 1\.0",
        ),
        (lambda: IntensityRule(kind="zscore", mean=1.0), "mean: expected nothing"),
        (lambda: IntensityRule(kind="percentile", lower=-1.0, upper=99.0), r"lower: expected a percent 0\.\.100"),
        (lambda: IntensityRule(kind="percentile", lower=1.0, upper=101.0), r"upper: expected a percent 0\.\.100"),
        (
            lambda: IntensityRule(kind="clip_zscore", lower=0.0, upper=1.0, mean=0.0, std=0.0),
            "std: expected a positive",
        ),
        (lambda: IntensityRule(kind="none", nonzero_only=True), "nonzero_only: expected false"),
        (lambda: SliceRule(axis=3), "axis: expected 0, 1 or 2, got 3"),
        (lambda: SliceRule(axis=0, context=-1), "context: expected an integer from 0, got -1"),
        (lambda: SliceRule(axis=0, fit="crop"), "fit: expected one of windows, resize, got 'crop'"),
        (lambda: PostprocessRule(min_island_mm3=-1.0), "min_island_mm3: expected at least 0 mm3"),
        (lambda: PostprocessRule(fill_holes_mm3=float("nan")), "fill_holes_mm3: expected at least 0 mm3"),
    ],
)
def test_an_impossible_part_is_refused_by_field_and_value(build, words):
    with pytest.raises(ManifestError, match=words):
        build()

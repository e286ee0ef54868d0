from dataclasses import FrozenInstanceError, replace

import pytest

from medseg.spec import errors
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import (
    ChannelSpec,
    Code,
    IntensityRule,
    LabelSpec,
    ModelManifest,
    PostprocessRule,
    is_orientation,
)


@pytest.fixture
def manifest():
    code = Code("SCT", "123037004", "Anatomical Structure")
    labels = tuple(
        LabelSpec(value=n, name=name, color=(255, 0, n), category=code, type=code)
        for n, name in enumerate(["anterior", "posterior"], start=1)
    )
    words = dict.fromkeys(
        ["model_id", "title", "version", "description", "network", "anatomy", "intended_use", "licence"], "x"
    )
    return ModelManifest(
        **words,
        authors="x",
        training_data="x",
        labels=labels,
        channels=(ChannelSpec(name="T1", modality="MR"),),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(32, 48, 32),
    )


def test_the_network_has_one_output_more_than_there_are_segments(manifest):
    assert manifest.label_count == 3


def test_a_manifest_that_says_nothing_else_asks_for_nothing_else(manifest):
    assert manifest.spacing_mm is None
    assert manifest.orientation == "RAS"
    assert not manifest.crop_to_body
    assert manifest.mirror_axes == ()
    assert manifest.postprocess == PostprocessRule(keep_largest=False, min_island_mm3=0.0, fill_holes_mm3=0.0)


def test_two_manifests_never_share_a_mapping(manifest):
    other = ModelManifest(**{name: value for name, value in vars(manifest).items() if name != "arguments"})
    other.arguments["depth"] = 3
    assert manifest.arguments == {}


def test_a_manifest_is_frozen(manifest):
    with pytest.raises(FrozenInstanceError):
        manifest.network = "other"


def test_every_error_a_user_can_mend_is_caught_by_one_name():
    names = [
        "ImageError",
        "ManifestError",
        "ModelNotFound",
        "JobError",
        "OutputExists",
        "MissingDependency",
        "Cancelled",
    ]
    assert all(issubclass(getattr(errors, name), errors.MedSegError) for name in names)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_id", "Two Words"),
        ("title", " "),
        ("orientation", "RAR"),
        ("spacing_mm", (1.0, 0.0, 1.0)),
        ("spacing_mm", (1.0, float("inf"), 1.0)),
        ("window_shape", (32, 0, 32)),
        ("overlap", 1.0),
        ("overlap", float("nan")),
        ("mirror_axes", (0, 3)),
        ("mirror_axes", (1, 1)),
        ("channels", ()),
        ("labels", ()),
    ],
)
def test_a_field_that_cannot_be_run_is_named(manifest, field, value):
    with pytest.raises(ManifestError, match=f"^{field}: expected "):
        replace(manifest, **{field: value})


def test_labels_are_numbered_in_order_and_named_apart(manifest):
    first, second = manifest.labels
    for labels in [(second, first), (first, replace(second, value=3)), (first, replace(second, name=first.name))]:
        with pytest.raises(ManifestError, match=r"^labels: "):
            replace(manifest, labels=labels)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"kind": "clip_unit", "lower": 1}, "upper"),
        ({"kind": "clip_unit", "lower": 1, "upper": float("nan")}, "upper"),
        ({"kind": "clip_unit", "lower": 2, "upper": 2}, "upper"),
        ({"kind": "clip_zscore", "lower": 1, "upper": 2, "mean": 0, "std": 0}, "std"),
        ({"kind": "percentile", "lower": -1, "upper": 99}, "lower, upper"),
        ({"kind": "zscore", "mean": 3.0}, "mean"),
        ({"kind": "none", "nonzero_only": True}, "nonzero_only"),
        ({"kind": "histogram"}, "kind"),
    ],
)
def test_an_intensity_rule_that_cannot_be_applied_is_refused(numbers, name):
    with pytest.raises(ManifestError, match=f"^{name}: expected "):
        IntensityRule(**numbers)


@pytest.mark.parametrize("rule", [{"min_island_mm3": -1.0}, {"fill_holes_mm3": float("nan")}])
def test_a_volume_below_zero_is_refused(rule):
    with pytest.raises(ManifestError, match="0 or more"):
        PostprocessRule(**rule)


def test_exactly_48_codes_are_orientations():
    letters = "RLAPSI"
    codes = [a + b + c for a in letters for b in letters for c in letters]
    assert sum(map(is_orientation, codes)) == 48
    assert not is_orientation("RA")
    assert not is_orientation("ras")

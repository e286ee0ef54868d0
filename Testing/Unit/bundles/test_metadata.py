"""metadata.json and the manifest say the same."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from monai.bundle.properties import MetaProperties

from medseg.bundles.metadata import read_manifest, write_manifest
from medseg.spec.errors import ManifestError
from medseg.spec.locating import BoxSpec, LocateRule
from medseg.spec.manifest import IntensityRule, SliceRule
from medseg.spec.monai import ForegroundRule, IntensityStep, MonaiRule
from small_manifest import dataset_scores


@pytest.fixture
def path(tmp_path, manifest):
    path = tmp_path / "metadata.json"
    write_manifest(manifest, path)
    return path


def change(path, where, value):
    """Set one place of the file, e.g. ("medseg", "labels", 0, "color"); ``...`` deletes it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    target = document
    for step in where[:-1]:
        target = target[step]
    if value is ...:
        del target[where[-1]]
    else:
        target[where[-1]] = value
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_manifest_comes_back_as_it_was_written(path, manifest):
    assert read_manifest(path) == manifest


def test_a_monai_rule_comes_back_and_so_does_an_argument_that_is_nothing(path, manifest):
    steps = (IntensityStep(kind="percentiles", lower=1.0, upper=99.0), IntensityStep(kind="normalise", nonzero=True))
    rule = MonaiRule(
        reorients=False,
        steps=steps,
        resampled_after=1,
        foreground=ForegroundRule(after=2, resampled=True, margin=3),
        answers="labels",
    )
    written = replace(manifest, monai=rule, arguments=manifest.arguments | {"pre_conv": None})
    write_manifest(written, path)
    assert read_manifest(path) == written


@pytest.mark.parametrize(
    "rule",
    [
        IntensityRule(kind="none"),
        IntensityRule(kind="zscore", nonzero_only=True),
        IntensityRule(kind="clip_zscore", lower=-100.0, upper=240.0, mean=40.5, std=17.0),
        IntensityRule(kind="percentile", lower=0.5, upper=99.5),
    ],
)
def test_every_intensity_rule_comes_back(tmp_path, manifest, rule):
    written = replace(manifest, intensity=rule, spacing_mm=None, mirror_axes=(), orientation="PIR")
    write_manifest(written, tmp_path / "metadata.json")
    assert read_manifest(tmp_path / "metadata.json") == written


def test_the_slices_of_a_2d_network_come_back_and_a_3d_file_does_not_name_them(path, tmp_path, manifest):
    assert "slices" not in json.loads(path.read_text(encoding="utf-8"))["medseg"]
    rule = SliceRule(axis=2, context=1, fit="resize")
    written = replace(manifest, slices=rule, window_shape=(16, 12, 1))
    write_manifest(written, tmp_path / "metadata.json")
    assert read_manifest(tmp_path / "metadata.json") == written
    change(tmp_path / "metadata.json", ("medseg", "slices"), {"axis": 2})
    assert read_manifest(tmp_path / "metadata.json").slices == SliceRule(axis=2, context=0, fit="windows")


def test_how_a_model_looks_again_comes_back(tmp_path, manifest):
    box = BoxSpec(name="left", low_mm=(0.0, 0.0, 0.0), high_mm=(30.0, 40.0, 30.0), margin_mm=3.0)
    rule = LocateRule(template="colin27", boxes=(box,), refine=2, refine_margin_mm=4.5, straighten_from_deg=15.0)
    written = replace(manifest, locate=rule)
    write_manifest(written, tmp_path / "metadata.json")
    assert read_manifest(tmp_path / "metadata.json") == written


@pytest.mark.parametrize("value", [9, 1.5, "often"])
def test_a_wrong_number_of_looks_is_named_by_file_and_field(tmp_path, manifest, value):
    box = BoxSpec(name="left", low_mm=(0.0, 0.0, 0.0), high_mm=(30.0, 40.0, 30.0))
    path = tmp_path / "metadata.json"
    write_manifest(replace(manifest, locate=LocateRule(template="colin27", boxes=(box,))), path)
    change(path, ("medseg", "locate", "refine"), value)
    with pytest.raises(ManifestError, match=r"metadata\.json") as caught:
        read_manifest(path)
    assert "refine" in str(caught.value)
    assert str(value) in str(caught.value)


def test_what_monai_requires_of_metadata_is_there(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    for name, rule in MetaProperties.items():
        value = document
        for step in rule["id"].removeprefix("_meta_::").split("::"):
            value = value[step]
        assert value, name
    outputs = document["network_data_format"]["outputs"]["pred"]
    assert outputs["channel_def"] == {"0": "background", "1": "front", "2": "back"}
    assert outputs["num_channels"] == 3


@pytest.mark.parametrize(
    ("where", "value", "sentence"),
    [
        (("medseg", "labels", 1, "color"), [1, 2], "medseg.labels[1].color: expected three integers, got [1, 2]"),
        (
            ("medseg", "labels", 1, "color"),
            [1, 2, 256],
            "medseg.labels[1].color: expected three integers 0..255 (red, green, blue), got [1, 2, 256]",
        ),
        (("medseg", "labels", 0, "value"), 2, "medseg.labels: expected values 1, 2, ... in order, at least one, got"),
        (("medseg", "labels", 0, "type", "value"), "", "medseg.labels[0].type.value: expected some text, got ''"),
        (("medseg", "labels", 1, "name"), "front", "medseg.labels: expected names that differ, got ['front']"),
        (("medseg", "window"), [1, 2, 3], "medseg.window: no such field; known here: model_id, network"),
        (("medseg", "window_shape"), ..., "medseg.window_shape: this field is missing and has no default"),
        (("medseg", "window_shape"), [0, 4, 4], "medseg.window_shape: expected three integers from 1, got [0, 4, 4]"),
        (("medseg", "spacing_mm"), [1, 0, 1], "medseg.spacing_mm: expected three positive numbers or nothing"),
        (("medseg", "overlap"), 1, "medseg.overlap: expected a number 0..0.9, got 1.0"),
        (("medseg", "orientation"), "RAL", "medseg.orientation: expected three letters, one each of R/L"),
        (("medseg", "mirror_axes"), [3], "medseg.mirror_axes: expected axes out of 0, 1, 2"),
        (("medseg", "slices"), {"axis": 2}, "medseg.window_shape: expected 1 voxel along k, since the network reads"),
        (("medseg", "slices"), {"axis": 3}, "medseg.slices.axis: expected 0, 1 or 2, got 3"),
        (("medseg", "slices"), {"context": 1}, "medseg.slices.axis: this field is missing and has no default"),
        (
            ("medseg", "slices"),
            {"axis": 2, "fit": "pad"},
            "medseg.slices.fit: expected one of windows, resize, got",
        ),
        (("medseg", "intensity", "kind"), "z", "medseg.intensity.kind: expected one of none, zscore, clip_zscore"),
        (("medseg", "intensity", "lower"), 3, "medseg.intensity.lower: expected nothing for intensity rule 'zscore'"),
        (("medseg", "channels"), [], "medseg.channels: expected at least one, got []"),
        (("medseg", "model_id"), "../up", "medseg.model_id: expected lower-case letters"),
        (("medseg", "scores", 0, "plain", "mean_dice"), 0.9, "medseg.scores[0].plain.mean_dice: expected an object"),
        (("medseg", "timings", 0, "device_kind"), "tpu", "medseg.timings[0].device_kind: expected one of cpu, cuda"),
        (
            ("medseg", "timings", 0, "seconds_per_case"),
            0,
            "medseg.timings[0].seconds_per_case: expected a number",
        ),
        (("medseg",), ..., "medseg: this field is missing and has no default"),
        (("name",), "  ", "name: expected some text, got '  '"),
        (("version",), 1, "version: expected text, got 1"),
        (("licenced",), 1, "licenced: no such field; known here: schema, version"),
        (
            ("network_data_format", "outputs", "pred", "num_channels"),
            5,
            "network_data_format.outputs.pred.num_channels: expected 3, as listed under medseg, got 5",
        ),
        (("network_data_format", "inputs"), {}, "network_data_format.inputs.image.num_channels: this field is missing"),
    ],
)
def test_a_wrong_field_is_named_by_file_path_value_and_rule(path, where, value, sentence):
    change(path, where, value)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")
    assert str(caught.value).endswith("; see Models/README.md for the format")


def test_a_missing_file_is_named_once(tmp_path):
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / "metadata.json")
    assert str(caught.value).count("metadata.json") == 1


def test_rewriting_keeps_the_changelog_and_leaves_no_other_file(path, manifest):
    document = json.loads(path.read_text(encoding="utf-8"))
    document["changelog"] = {"1.2.0": "Better", "1.1.0": "First"}
    path.write_text(json.dumps(document), encoding="utf-8")
    write_manifest(replace(manifest, scores=(dataset_scores("other cases"),)), path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["changelog"] == {"1.2.0": "Better", "1.1.0": "First"}
    assert read_manifest(path).scores == (dataset_scores("other cases"),)
    assert [entry.name for entry in path.parent.iterdir()] == ["metadata.json"]


def test_text_stays_readable_in_the_file(path):
    assert "größer" in path.read_text(encoding="utf-8")


def test_the_catalogue_loads_neither_torch_nor_monai():
    code = "import sys, medseg.bundles.catalogue; sys.exit(bool({'torch', 'monai', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

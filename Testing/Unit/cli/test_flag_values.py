"""Flags that describe an imported model."""

import json
from functools import partial

import pytest

from medseg.cli import flag_values as flags
from medseg.cli.main import run
from medseg.spec.errors import JobError
from medseg.spec.manifest import IntensityRule, SliceRule


def names(labels):
    return [label.name for label in labels]


@pytest.mark.parametrize(
    "content",
    [
        ["spleen", "liver"],
        ["background", "spleen", "liver"],
        {"1": "spleen", "2": "liver"},
        {"0": "background", "2": "liver", "1": "spleen"},
    ],
)
def test_labels_come_from_a_file(tmp_path, content):
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert names(flags.read_labels(str(tmp_path / "labels.json"))) == ["spleen", "liver"]


def test_labels_come_from_text_and_from_whole_descriptions(tmp_path):
    labels = flags.read_labels("spleen, left kidney")
    assert names(labels) == ["spleen", "left kidney"]
    from dataclasses import asdict

    (tmp_path / "labels.json").write_text(json.dumps([asdict(label) for label in labels]))
    assert flags.read_labels(str(tmp_path / "labels.json")) == labels


@pytest.mark.parametrize("content", [[], {"1": "a", "3": "b"}, ["a", 3, "b"], 4, [{"value": 1}], ["background"]])
def test_labels_that_are_none_are_refused(tmp_path, content):
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(JobError, match="label"):
        flags.read_labels(str(tmp_path / "labels.json"))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("none", IntensityRule(kind="none")),
        ("zscore", IntensityRule(kind="zscore")),
        ("zscore:nonzero", IntensityRule(kind="zscore", nonzero_only=True)),
        ("clip_unit:-57,164", IntensityRule(kind="clip_unit", lower=-57.0, upper=164.0)),
        ("percentile:0.5, 99.5", IntensityRule(kind="percentile", lower=0.5, upper=99.5)),
        ("clip_zscore:-1,2,3,4", IntensityRule(kind="clip_zscore", lower=-1.0, upper=2.0, mean=3.0, std=4.0)),
    ],
)
def test_intensity_rules_are_read(text, rule):
    assert flags.read_intensity(text) == rule


@pytest.mark.parametrize("text", ["", "mean", "clip_unit", "clip_unit:1", "clip_unit:a,b", "clip_unit:5,1", "zscore:1"])
def test_intensity_rules_that_are_none_are_refused(text):
    with pytest.raises(JobError, match="--intensity"):
        flags.read_intensity(text)


def test_sizes_channels_slices_and_arguments_are_read(tmp_path):
    assert flags.read_spacing("1,0.5,2") == (1.0, 0.5, 2.0)
    assert flags.read_voxels("16,32,64", "--window") == (16, 32, 64)
    assert [(c.name, c.modality) for c in flags.read_channels("T1:MR, PET:PT")] == [("T1", "MR"), ("PET", "PT")]
    assert flags.read_slices("k") == SliceRule(axis=2, fit="resize")
    assert flags.read_slices("i:windows:2") == SliceRule(axis=0, context=2, fit="windows")
    assert flags.read_arguments('{"a": [1]}') == {"a": [1]}
    (tmp_path / "a.json").write_text('{"b": null}')
    assert flags.read_arguments(str(tmp_path / "a.json")) == {"b": None}
    for read in (flags.read_labels, flags.read_channels, flags.read_intensity, flags.read_spacing, flags.read_slices):
        assert read(None) is None


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (flags.read_spacing, "1,2"),
        (flags.read_spacing, "1,2,-1"),
        (partial(flags.read_voxels, flag="--patch"), "0,1,2"),
        (partial(flags.read_voxels, flag="--window"), "1,2,x"),
        (flags.read_channels, "T1"),
        (flags.read_slices, "z"),
        (flags.read_slices, "k:stretch"),
        (flags.read_slices, "k:resize:1:2"),
        (flags.read_arguments, "[1]"),
        (flags.read_arguments, "{"),
    ],
)
def test_what_is_none_of_these_is_refused(read, text):
    with pytest.raises(JobError, match="--"):
        read(text)


def test_a_wrong_flag_or_file_is_one_line_and_exit_code_2(tmp_path, capsys):
    output = ["--output", str(tmp_path / "m")]
    assert run(["models", "import-bundle", str(tmp_path / "nothing.zip"), *output]) == 2
    assert run(["models", "import", str(tmp_path / "n"), *output, "--network", "dlka_net", "--labels", "a"]) == 2
    assert run(["models", "import-bundle", str(tmp_path), *output, "--window", "1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)

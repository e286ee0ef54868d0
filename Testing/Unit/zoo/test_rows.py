"""The rows of the zoo: what zoo.toml says becomes a command that ``medseg train`` understands."""

import itertools
import json
import os
from pathlib import Path

import pytest

from medseg.cli.flag_values import read_axis, read_duration, read_voxels
from medseg.training.planning.plan import parse_changes
from Unit.training.phantoms import write_phantoms
from Zoo.results import collect, keep
from Zoo.rows import ROWS, read_rows
from Zoo.zoo import run_row

ROOT = Path(__file__).parents[3]
SMALL = """
[common]
change = ["model.mirror_axes=[]"]

[[row]]
key = "small"
title = "small"
network = "emf_former"
window = [16, 16, 16]
patch = [16, 16, 16]
batch = 1
rate = 0.01
change = ["model.arguments.channels=[8,8,16]", "model.arguments.depths=[1,1,1]", "model.arguments.heads=[2,2,2]", \
          "model.arguments.strides=[2,2,2]"]
"""


def flags(row):
    words = row.command(Path("data"), Path("out"), minutes=5.5)
    return [word for word in words if word.startswith("--")], dict(itertools.pairwise(words))


def test_each_row_is_a_command_whose_values_can_be_read():
    for row in read_rows():
        names, values = flags(row)
        assert names.count("--set") == len(row.change) >= 2
        assert read_voxels(values["--window"], "--window") == tuple(row.window)
        assert read_voxels(values["--patch"], "--patch") == tuple(row.patch)
        assert read_duration(values["--time-limit"]) == 330
        assert ("--slices" in names) == (1 in row.window)
        assert row.slices is None or row.window[read_axis(row.slices)] == 1
        assert parse_changes(row.change)["model.mirror_axes"] == []


def test_the_issue_names_these_networks():
    networks = {row.network for row in read_rows()}
    assert networks >= {"ultralight_unet", "dlka_net", "mslau_net", "medical_transformer", "emf_former"}
    assert networks >= {"monai:DynUNet", "monai:SegResNet", "monai:SwinUNETR"}


def test_rows_are_chosen_by_key_and_an_unknown_one_is_refused():
    assert [row.key for row in read_rows(wanted=["emf3d", "dynunet"])] == ["dynunet", "emf3d"]
    with pytest.raises(ValueError, match="no row 'unet'; it has dynunet"):
        read_rows(wanted=["unet"])


def test_two_rows_with_one_key_are_refused(tmp_path):
    twice = tmp_path / "zoo.toml"
    text = ROWS.read_text(encoding="utf-8").replace('key = "emf3d"', 'key = "dynunet"')
    twice.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="two rows with one key"):
        read_rows(twice)


def test_a_row_trains_scores_and_is_collected(tmp_path, monkeypatch):
    """The whole way with five steps on phantoms, each step in a process of its own, as the zoo does it."""
    write_phantoms(tmp_path, 4)
    names = [f"image_{n}" for n in range(4)]
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": names[:3], "val": names[3:]}]))
    rows = tmp_path / "rows.toml"
    rows.write_text(SMALL, encoding="utf-8")
    (row,) = read_rows(rows)
    folder = tmp_path / "small"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "MedSegAttention"), str(ROOT / "Testing"))))
    run_row(row, tmp_path, folder, 1.0, check=True)
    keep(collect(row, folder), folder / "kept.json")
    kept = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    assert kept["cases"] == ["image_3"]
    assert kept["training"]["steps"] == 5
    assert kept["training"]["learning_rate"] == 0.01
    assert kept["parameters"] > 0
    assert kept["macs"] > 0

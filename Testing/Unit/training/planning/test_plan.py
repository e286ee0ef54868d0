"""A fingerprint, the plan it leads to, and how a person changes it."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medseg.io.dataset import describe_dataset
from medseg.spec.errors import JobError
from medseg.training.planning import propose_window
from medseg.training.planning.fingerprint import CaseFacts, ChannelFacts, Fingerprint, take_fingerprint
from medseg.training.planning.memory import count_step
from medseg.training.planning.network_plan import halvings
from medseg.training.planning.plan import describe_plan, override, parse_changes, read_plan, write_plan
from medseg.training.planning.propose import propose
from Unit.training.phantoms import SIZE, a_config, a_plan, write_phantoms

CPU = torch.device("cpu")
CONFIG = a_config(Path("m"))


def facts(shape, spacing, count=3, **channel):
    numbers = {"lowest": 0.0, "highest": 9.0, "percentile_00_5": 1.0, "percentile_99_5": 8.0, "mean": 4.0, "std": 2.0}
    return Fingerprint(
        cases=tuple(
            CaseFacts(name=str(n), shape=shape, spacing_mm=spacing, voxels={"1": 300, "2": 100}) for n in range(count)
        ),
        channels=(ChannelFacts(**numbers | channel),),
        label_values=(1, 2),
    )


def described(tmp_path, channel="MRI", labels=("liver", "tumour")):
    write_phantoms(tmp_path, 1)
    dataset = describe_dataset(tmp_path)
    return replace(dataset, channel_names=(channel,), label_names=dict(enumerate(labels, start=1)))


def test_facts_are_those_of_the_files(phantoms):
    fingerprint = take_fingerprint(describe_dataset(phantoms))
    assert len(fingerprint.cases) == 6
    labels = np.asarray(nibabel.load(phantoms / "label_0.nii.gz").dataobj)
    image = np.asarray(nibabel.load(phantoms / "image_0.nii.gz").dataobj)
    assert fingerprint.cases[0].voxels == {"1": int(labels.sum())}
    assert fingerprint.median_spacing_mm == (1, 1, 1)
    assert fingerprint.channels[0].mean == pytest.approx(3, abs=0.05)
    assert fingerprint.channels[0].lowest <= image.min()


def test_every_problem_is_named_and_the_other_cases_stay(tmp_path):
    write_phantoms(tmp_path, 4)
    (tmp_path / "image_0.nii.gz").write_bytes(b"nothing")
    nibabel.save(nibabel.Nifti1Image(np.full((SIZE,) * 3, 5, np.uint8), np.eye(4)), tmp_path / "label_1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "label_2.nii.gz")
    fingerprint = take_fingerprint(describe_dataset(tmp_path))
    assert [case.name for case in fingerprint.cases] == ["image_3"]
    first, second, third = fingerprint.problems
    assert "image_0.nii.gz" in first
    assert "label_1.nii.gz holds label 5, but the data set lists 1" in second
    assert "another grid" in third
    (tmp_path / "image_3.nii.gz").write_bytes(b"nothing")
    with pytest.raises(JobError, match=r"image_0.*label 5.*another grid.*image_3"):
        take_fingerprint(describe_dataset(tmp_path))


def test_small_isotropic_volumes_are_seen_whole_at_their_own_spacing(tmp_path):
    plan = propose(described(tmp_path), facts((36, 50, 35), (1, 1, 1)), CONFIG, CPU)
    assert plan.model.window_shape == (40, 56, 40)
    assert plan.model.spacing_mm == (1, 1, 1)
    assert plan.model.arguments["pooling"] == [1, 2, 2, 2, 1]
    assert plan.model.intensity.kind == "zscore"
    assert plan.model.mirror_axes == (0,)
    assert set(plan.reasons) >= {"model.window_shape", "model.spacing_mm", "training.batch", "training.steps"}


def test_thick_slices_are_not_halved_before_the_other_axes_caught_up(tmp_path):
    plan = propose(described(tmp_path), facts((256, 256, 20), (0.8, 0.8, 6)), CONFIG, CPU)
    assert plan.model.arguments["pooling"][0] == [2, 2, 1]
    i, j, k = plan.model.window_shape
    assert k <= 24
    assert i * j * k <= 64**3
    assert halvings((160, 160, 24), (0.8, 0.8, 6), 4) == [[2, 2, 1], [2, 2, 1], [2, 2, 1], 2]


def test_ct_is_clipped_to_what_the_labelled_voxels_show(tmp_path):
    rule = propose(described(tmp_path, "CT"), facts((64, 64, 64), (1, 1, 1)), CONFIG, CPU).model.intensity
    assert (rule.kind, rule.lower, rule.upper, rule.mean, rule.std) == ("clip_zscore", 1, 8, 4, 2)


@pytest.mark.parametrize("names", [("left kidney", "right kidney"), ("kidney_left", "kidney_right"), ("lh_a", "b")])
def test_labels_with_a_side_forbid_mirroring(tmp_path, names):
    dataset = described(tmp_path, labels=names)
    plan = propose(dataset, facts((36, 50, 35), (1, 1, 1)), CONFIG, CPU)
    assert plan.model.mirror_axes == ()
    assert "side" in plan.reasons["model.mirror_axes"]


def test_little_memory_makes_a_smaller_window_and_too_little_is_refused(tmp_path, monkeypatch):
    dataset, fingerprint = described(tmp_path), facts((64, 64, 64), (1, 1, 1))
    config = replace(CONFIG, changes=("model.arguments.widths=T",))
    monkeypatch.setattr(propose_window, "memory_at_hand_mb", lambda _: 200.0)
    plan = propose(dataset, fingerprint, config, CPU)
    shape = (plan.training.batch, 1, *plan.model.window_shape)
    assert np.prod(plan.model.window_shape) < 64**3
    assert "fit into 140 MiB" in plan.reasons["model.window_shape"]
    from medseg.networks import build_network

    with torch.device("meta"):
        network = build_network(NETWORK, **plan.model.arguments)
    assert count_step(network, shape).memory_mb < 140
    monkeypatch.setattr(propose_window, "memory_at_hand_mb", lambda _: 1.0)
    with pytest.raises(JobError, match="too little to train"):
        propose(dataset, fingerprint, config, CPU)


def test_a_network_that_normalises_each_image_is_asked_about_as_much_as_it_was_trained_on(tmp_path):
    dataset, fingerprint = described(tmp_path), facts((64, 64, 64), (1, 1, 1))
    shorter = replace(CONFIG, seconds=600.0)
    batch = propose(dataset, fingerprint, shorter, CPU)
    config = replace(shorter, changes=("model.arguments.norm=instance",))
    plan = propose(dataset, fingerprint, config, CPU)
    assert batch.training.patch_shape is not None
    assert plan.training.patch_shape is None
    assert np.prod(plan.patch_shape) < np.prod(batch.model.window_shape)
    assert plan.patch_shape == plan.model.window_shape
    decided = propose(dataset, fingerprint, replace(config, window=(32, 40, 48)), CPU)
    assert decided.patch_shape == decided.model.window_shape == (32, 40, 48)
    with pytest.raises(JobError, match=r"training\.patch_shape: expected the window \(32, 40, 48\).*--window"):
        override(decided, {"training.patch_shape": [32, 32, 32]})


def test_a_2d_network_is_planned_on_slices(tmp_path):
    config = replace(CONFIG, slice_axis=0)
    plan = propose(described(tmp_path), facts((36, 50, 35), (1, 1, 1)), config, CPU)
    assert plan.model.window_shape == (1, 56, 40)
    assert plan.model.arguments["spatial_dims"] == 2
    assert plan.model.mirror_axes == ()


def test_images_of_one_slice_are_shown_whole_to_a_2d_network(tmp_path):
    plan = propose(described(tmp_path, channel="radiograph"), facts((512, 400, 1), (1, 1, 1)), CONFIG, CPU)
    assert (plan.model.slices.axis, plan.model.slices.fit) == (2, "resize")
    assert plan.model.spacing_mm is None
    assert plan.model.channels[0].modality == "CR"
    assert plan.model.arguments["spatial_dims"] == 2
    assert plan.training.foreground == 0
    assert "every image is one slice" in plan.reasons["model.slices"]


def test_one_volume_among_slices_makes_a_3d_model(tmp_path):
    slices, volume = facts((512, 400, 1), (1, 1, 1)), facts((512, 400, 9), (1, 1, 1))
    both = replace(slices, cases=slices.cases + volume.cases)
    assert propose(described(tmp_path), both, CONFIG, CPU).model.slices is None


def test_labels_with_a_gap_are_refused_by_their_values(tmp_path):
    dataset = replace(described(tmp_path), label_names={1: "a", 4: "b"})
    with pytest.raises(JobError, match="without gaps, got 1, 4"):
        propose(dataset, facts((36, 50, 35), (1, 1, 1)), CONFIG, CPU)


def test_a_plan_comes_back_from_its_file(tmp_path):
    plan = propose(described(tmp_path), facts((36, 50, 35), (1, 1, 1)), CONFIG, CPU)
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == replace(plan, model=read_plan(tmp_path / "plan.json").model)
    assert json.loads((tmp_path / "plan.json").read_text())["training"]["batch"] == plan.training.batch
    assert {row[0] for row in describe_plan(plan)} >= {"model.window_shape", "training.learning_rate"}


def test_every_value_can_be_changed_and_only_values_that_exist():
    changes = parse_changes(["training.batch=4", "model.arguments.widths=S", 'model.intensity={"kind": "none"}'])
    plan = override(replace(a_plan(), reasons={"training.batch": "fits"}), changes)
    assert plan.training.batch == 4
    assert plan.model.arguments["widths"] == "S"
    assert plan.model.intensity.kind == "none"
    assert plan.reasons == {}
    with pytest.raises(JobError, match=r"no value 'training\.bach'; known: training\.steps"):
        override(plan, {"training.bach": 4})
    with pytest.raises(JobError, match=r"training\.batch: expected an integer from 1, got 0"):
        override(plan, {"training.batch": 0})
    with pytest.raises(JobError, match="is PATH=VALUE, got 'batch'"):
        parse_changes(["batch"])


def test_a_file_that_is_no_plan_says_how_to_get_one(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(JobError, match=r"plan\.json is not a plan \(model: this field is missing.*--dry-run"):
        read_plan(tmp_path / "plan.json")


NETWORK = "ultralight_unet"

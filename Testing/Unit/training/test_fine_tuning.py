"""A bundle as the beginning of another: what fits is loaded, the head begins anew, and everything is said."""

from dataclasses import replace

import pytest
import torch

from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.io.dataset import describe_dataset
from medseg.networks import build_network
from medseg.spec.errors import JobError
from medseg.spec.manifest import OverlapRule
from medseg.training.loop.initial import label_dependent, start_from
from medseg.training.planning.adapt import adapt
from medseg.training.planning.fingerprint import take_fingerprint
from medseg.training.planning.side_heads import build_for_training
from medseg.training.train import train
from Unit.training.phantoms import a_config, a_manifest


@pytest.fixture
def two_labels(tmp_path):
    """A bundle that knows two other labels."""
    manifest = a_manifest(label_names=("core", "shell"))
    torch.manual_seed(5)
    network = build_network(manifest.network, **manifest.arguments)
    return write_bundle(tmp_path / "two", manifest, network, licence_text="CC0\n")


def test_only_the_heads_depend_on_the_number_of_labels():
    assert label_dependent(a_manifest()) == {"head.weight", "head.bias"}


def test_a_new_label_set_keeps_the_body_and_begins_the_head_anew(two_labels):
    model = a_manifest()
    network = build_for_training(model, deep_supervision=True)
    random = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    notes = start_from(network, model, two_labels)
    known = load_network(two_labels).state_dict()
    for name, tensor in network.state_dict().items():
        source = random if name.startswith(("head", "side_heads")) else known
        assert torch.equal(tensor, source[name]), name
    assert "start with the weights of phantom" in notes[0]
    assert "begin at random (the labels differ): head.weight" in notes[1]


def test_the_same_labels_keep_the_head_too(two_labels):
    network = build_for_training(two_labels.manifest, deep_supervision=False)
    (note,) = start_from(network, two_labels.manifest, two_labels)
    known = load_network(two_labels).state_dict()
    assert all(torch.equal(tensor, known[name]) for name, tensor in network.state_dict().items())
    assert "of phantom" in note


def test_another_network_is_refused(two_labels):
    with pytest.raises(JobError, match="cannot start a emf_former"):
        start_from(torch.nn.Identity(), replace(two_labels.manifest, network="emf_former"), two_labels)


def test_a_bundle_is_fine_tuned_to_the_labels_of_a_data_set(two_labels, phantoms, tmp_path):
    dataset = describe_dataset(phantoms)
    plan = adapt(two_labels.manifest, dataset, take_fingerprint(dataset), "balls")
    assert [label.name for label in plan.model.labels] == ["ball"]
    assert plan.model.arguments["label_count"] == 2
    plan = replace(plan, training=replace(plan.training, steps=3, validations=1))
    notes = []
    config = a_config(tmp_path / "balls", start=str(two_labels.folder))
    bundle = train(config, plan, list(dataset.cases.values()), on_note=notes.append)
    assert bundle.manifest.label_count == 2
    assert "Started from phantom" in bundle.manifest.training_data
    assert any("begin at random" in note.message for note in notes)


def test_a_data_set_of_other_channels_is_refused(two_labels, phantoms):
    dataset = describe_dataset(phantoms)
    fingerprint = take_fingerprint(dataset)
    with pytest.raises(JobError, match=r"takes 1 channel\(s\), the data set has 2"):
        adapt(two_labels.manifest, dataset, replace(fingerprint, channels=fingerprint.channels * 2), "balls")
    rule = OverlapRule(order=tuple(label.value for label in two_labels.manifest.labels))
    with pytest.raises(JobError, match="has segments that overlap, which are not trained here"):
        adapt(replace(two_labels.manifest, overlapping=rule), dataset, fingerprint, "balls")


def test_training_like_a_manifest_refuses_its_labels_under_other_numbers(phantoms):
    dataset = describe_dataset(phantoms)
    facts = take_fingerprint(dataset)
    crossed = replace(dataset, label_names={1: "shell", 2: "core"})
    with pytest.raises(JobError, match="numbers its labels 1 shell, 2 core, and phantom 1 core, 2 shell"):
        adapt(a_manifest(label_names=("core", "shell")), crossed, facts, None)


def test_a_fine_tuning_leaves_the_axis_of_sides_out_where_a_label_has_no_counterpart(phantoms):
    dataset = describe_dataset(phantoms)
    facts = take_fingerprint(dataset)
    source = a_manifest(label_names=("ball",), mirror_axes=(0, 1))
    plan = adapt(source, replace(dataset, label_names={1: "kidney_left"}), facts, "new")
    assert plan.model.mirror_axes == (1,)
    assert "kidney_left" in plan.reasons["model.mirror_axes"]
    both = replace(dataset, label_names={1: "kidney_left", 2: "kidney_right"})
    assert adapt(source, both, facts, "new").model.mirror_axes == (0, 1)

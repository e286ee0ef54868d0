"""Weights: what does not fit is named before anything runs."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import fill_network, load_network, load_weights, save_weights
from medseg.spec.errors import ManifestError, WeightsError
from medseg.spec.manifest import SliceRule


def small():
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_loaded_network_answers_as_the_saved_one_and_is_ready_to_run(bundle, network):
    loaded = load_network(bundle)
    windows = torch.randn(1, 1, 16, 16, 12)
    with torch.no_grad():
        torch.testing.assert_close(loaded(windows), network.eval()(windows), rtol=0, atol=0)
    assert not any(module.training for module in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_half_precision_weights_are_half_the_file_and_become_float32(path):
    network = torch.nn.Conv3d(8, 8, 5)
    save_weights(network, path, stored_as="float32")
    full = path.stat().st_size
    save_weights(network, path, stored_as="float16")
    assert path.stat().st_size < 0.52 * full
    stored = load_file(path)
    assert (stored["weight"].dtype, stored["bias"].dtype) == (torch.float16, torch.float32)
    loaded = load_weights(torch.nn.Conv3d(8, 8, 5), path)
    assert loaded.weight.dtype == torch.float32
    torch.testing.assert_close(loaded.weight, network.weight.detach().half().float(), rtol=0, atol=0)


def test_whole_numbers_and_statistics_survive_half_precision(path):
    network = small()
    network[1].num_batches_tracked += 70_001
    network[1].running_var.fill_(1e-9)
    save_weights(network, path, stored_as="float16")
    loaded = load_weights(small(), path)
    assert int(loaded[1].num_batches_tracked) == 70_001
    assert torch.equal(loaded[1].running_var, torch.full((2,), 1e-9))


def test_missing_unexpected_and_misshapen_tensors_are_named_together(path):
    tensors = small().state_dict()
    del tensors["1.bias"]
    tensors["0.weight"] = torch.zeros(2, 1, 5, 5, 5)
    tensors["head.weight"] = torch.zeros(1)
    save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(small(), path)
    assert str(caught.value) == (
        f"{path} does not fit its network: 1 tensor(s) missing: 1.bias; 1 tensor(s) unexpected: head.weight; "
        "1 tensor(s) of another shape: 0.weight (2, 1, 5, 5, 5) instead of (2, 1, 3, 3, 3)"
    )


def test_many_missing_tensors_are_counted_and_the_first_named(path):
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"7 tensor\(s\) missing: 0\.weight, 0\.bias, 1\.weight and 4 more"):
        load_weights(small(), path)


def test_a_network_is_left_alone_when_its_weights_do_not_fit(path):
    network = small()
    before = network[0].bias.detach().clone()
    tensors = small().state_dict()
    del tensors["1.bias"]
    save_file(tensors, path)
    with pytest.raises(WeightsError):
        load_weights(network, path)
    assert torch.equal(network[0].bias, before)


def test_a_truncated_a_foreign_and_an_absent_file_are_refused(path):
    with pytest.raises(WeightsError, match="is missing"):
        load_weights(small(), path)
    save_weights(small(), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(small(), path)
    torch.save(small().state_dict(), path)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(small(), path)


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_weights_that_cannot_be_stored_are_refused_and_leave_no_file(path, value):
    network = small()
    network[0].weight.data.fill_(value)
    with pytest.raises(WeightsError, match=r"as float16: 1 tensor\(s\) not finite: 0\.weight"):
        save_weights(network, path, stored_as="float16")
    assert list(path.parent.iterdir()) == []


def test_weights_that_are_not_finite_are_refused_on_reading(path):
    tensors = small().state_dict()
    tensors["0.bias"][0] = float("inf")
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"not finite: 0\.bias"):
        load_weights(small(), path)


def test_shared_tensors_are_written_and_read(path):
    shared = torch.nn.Linear(3, 3)
    save_weights(torch.nn.Sequential(shared, shared), path)
    again = torch.nn.Linear(3, 3)
    loaded = load_weights(torch.nn.Sequential(again, again), path)
    assert torch.equal(loaded[0].weight, shared.weight)


@pytest.mark.parametrize(("field", "value"), [("network", "unet5000"), ("arguments", {"colour": "red"})])
def test_a_network_that_cannot_be_built_is_a_fault_of_the_manifest(bundle, field, value):
    object.__setattr__(bundle.manifest, field, value)
    with pytest.raises(ManifestError, match=r"metadata\.json: medseg\.network and medseg\.arguments do not make"):
        load_network(Bundle(bundle.folder, bundle.manifest))


@pytest.mark.parametrize("name", ["label_count", "in_channels"])
def test_arguments_that_contradict_the_labels_or_channels_are_named(bundle, name):
    arguments = {**bundle.manifest.arguments, name: 7}
    wrong = Bundle(bundle.folder, replace(bundle.manifest, arguments=arguments))
    with pytest.raises(ManifestError, match=f"medseg.arguments.{name} is 7"):
        load_network(wrong)


def test_a_2d_network_that_is_not_told_its_slices_is_named_and_so_are_slices_for_a_3d_one(bundle):
    flat = replace(
        bundle.manifest, arguments=bundle.manifest.arguments | {"spatial_dims": 2, "pooling": [1, 2, 2, 2, 1]}
    )
    with pytest.raises(ManifestError, match=r"is a 2D network; say with medseg\.slices across which axis"):
        load_network(Bundle(bundle.folder, flat))
    sliced = replace(bundle.manifest, slices=SliceRule(axis=2), window_shape=(16, 16, 1), mirror_axes=())
    with pytest.raises(ManifestError, match=r"medseg\.slices is for 2D networks, and ultralight_unet .* is a 3D one"):
        load_network(Bundle(bundle.folder, sliced))


def test_neighbouring_slices_count_as_channels_of_the_network(bundle):
    rule = SliceRule(axis=2, context=1)
    arguments = bundle.manifest.arguments | {"spatial_dims": 2, "in_channels": 1}
    wrong = replace(bundle.manifest, slices=rule, window_shape=(16, 16, 1), arguments=arguments)
    with pytest.raises(ManifestError, match=r"in_channels is 1, but .* channels of every slice seen .* ask for 3"):
        load_network(Bundle(bundle.folder, wrong))


def test_weights_may_be_read_by_others_as_the_system_allows(path):
    save_weights(small(), path)
    (path.parent / "plain").write_bytes(b"")
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode


def test_a_tensor_that_claims_to_be_huge_is_refused_without_looking_inside():
    huge = torch.zeros(1).expand(2**40)
    with pytest.raises(WeightsError, match=r"1 tensor\(s\) unexpected: huge"):
        fill_network(small(), small().state_dict() | {"huge": huge}, "file")

"""Networks of MONAI by name: checked before they are built, and answering as ours do."""

import doctest
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from monai.networks import nets

from medseg.bundles import monai_networks as module
from medseg.bundles.build import build_any, label_argument
from medseg.bundles.monai_networks import ALLOWED, allowed_arguments, build_monai_network
from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.spec.errors import ManifestError, MissingDependency, WeightsError

DYNUNET = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, [2, 2, 1]],
    "upsample_kernel_size": [2, [2, 2, 1]],
    "filters": [4, 8, 8],
    "deep_supervision": True,
    "deep_supr_num": 1,
}
SEGRESNET = {"out_channels": 3, "init_filters": 8}
TRANSFORMERS = {
    "UNETR": {"img_size": [32, 32, 32], "feature_size": 4, "hidden_size": 24, "mlp_dim": 24, "num_heads": 2},
    "SwinUNETR": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
}


def image(side=16, batch=1):
    return torch.randn(batch, 1, side, side, side, generator=torch.Generator().manual_seed(0))


def test_the_examples_in_the_documentation_hold():
    assert doctest.testmod(module).failed == 0


def test_a_network_answers_exactly_as_monais_own_class():
    torch.manual_seed(0)
    ours = build_any("monai:SegResNet", **SEGRESNET).eval()
    theirs = nets.SegResNet(**SEGRESNET).eval()
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(ours(image()), theirs(image()), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "side"), [("UNETR", 32), ("SwinUNETR", 64)])
def test_a_transformer_runs_or_names_the_package_it_needs(name, side):
    arguments = TRANSFORMERS[name] | {"in_channels": 1, "out_channels": 3}
    if find_spec("einops") is None:
        with pytest.raises(MissingDependency, match="pip install einops"):
            build_any(f"monai:{name}", **arguments)
        return
    with torch.no_grad():
        assert build_any(f"monai:{name}", **arguments).eval()(image(side)).shape == (1, 3, side, side, side)


@pytest.mark.parametrize(
    ("name", "arguments", "sizes"),
    [
        ("DynUNet", DYNUNET, [16, 16]),
        ("SegResNetDS", {"out_channels": 3, "init_filters": 4, "blocks_down": [1, 1, 1], "dsdepth": 2}, [16, 8]),
        ("BasicUNetPlusPlus", {"out_channels": 3, "features": [4, 4, 4, 4, 4, 4], "deep_supervision": True}, [32] * 4),
    ],
)
def test_deep_supervision_is_a_list_in_training_and_full_size_alone_in_evaluation(name, arguments, sizes):
    network = build_any(f"monai:{name}", **arguments)
    trained = network.train()(image(sizes[0], batch=2))
    assert [tuple(level.shape) for level in trained] == [(2, 3, size, size, size) for size in sizes]
    with torch.no_grad():
        answer = network.eval()(image(sizes[0]))
    assert answer.shape == (1, 3, sizes[0], sizes[0], sizes[0])


def test_the_first_of_the_list_is_what_evaluation_returns():
    network = build_any("monai:BasicUNetPlusPlus", out_channels=3, features=[4] * 6, deep_supervision=True)
    network.eval()
    with torch.no_grad():
        finest = network(image(32))
        for part in network.modules():
            part.training = part is network  # the list of training, the arithmetic of evaluation
        torch.testing.assert_close(network(image(32))[0], finest, rtol=0, atol=0)


def test_an_unknown_network_lists_the_choices_of_both_kinds():
    with pytest.raises(ValueError, match=r"'monai:Classifier'.*monai:DynUNet.*monai:SegResNet"):
        build_any("monai:Classifier")
    with pytest.raises(ValueError, match=r"'unet'.*dlka_net.*ultralight_unet.*monai:SegResNet"):
        build_any("unet")


def test_an_unknown_argument_lists_those_there_are():
    with pytest.raises(ValueError, match=r"SegResNet has no argument 'colour'; it takes spatial_dims, init_filters"):
        build_any("monai:SegResNet", colour="red")


def test_a_missing_argument_is_named():
    with pytest.raises(ValueError, match="needs the argument 'spatial_dims'"):
        build_any("monai:UNet", in_channels=1)


def test_values_monai_refuses_are_a_value_error_with_its_reason():
    with pytest.raises(ValueError, match="monai:DynUNet cannot be built with these arguments: length of kernel_size"):
        build_any("monai:DynUNet", **DYNUNET | {"kernel_size": [3] * 4})


@pytest.mark.parametrize("name", ALLOWED)
def test_every_allowed_name_is_a_class_of_monai_that_takes_channels_in_and_out(name):
    assert {"in_channels", label_argument(f"monai:{name}")} <= set(allowed_arguments(name))


@pytest.mark.parametrize("name", ["norm_layer", "preprocess"])
def test_arguments_that_take_a_callable_are_not_offered(name):
    assert all(name not in allowed_arguments(network) for network in ALLOWED)


def test_monai_is_imported_for_its_own_networks_only(checkout):
    program = (
        "import sys; from medseg.bundles.build import build_any; build_any('ultralight_unet', widths='T');"
        "print('monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=checkout)
    assert done.stdout.strip() == "False"


@pytest.fixture
def monai_manifest(manifest):
    return replace(
        manifest,
        network="monai:DynUNet",
        arguments=DYNUNET,
        window_shape=(16, 16, 16),
    )


def test_a_bundle_may_name_a_network_of_monai(tmp_path, monai_manifest):
    torch.manual_seed(0)
    network = build_any(monai_manifest.network, **monai_manifest.arguments).eval()
    bundle = write_bundle(tmp_path / "m", monai_manifest, network, licence_text="x")
    with torch.no_grad():
        torch.testing.assert_close(load_network(bundle)(image()), network(image()), rtol=0, atol=0)


def test_outputs_that_contradict_the_labels_are_named(tmp_path, monai_manifest):
    wrong = replace(monai_manifest, arguments=DYNUNET | {"out_channels": 7})
    network = build_any(wrong.network, **wrong.arguments)
    with pytest.raises(ManifestError, match=r"medseg\.arguments\.out_channels is 7"):
        write_bundle(tmp_path / "m", wrong, network, licence_text="x")


def test_weights_of_another_network_are_named_key_by_key(tmp_path, monai_manifest):
    other = build_monai_network("DynUNet", **DYNUNET | {"filters": [4, 8, 16]})
    with pytest.raises(WeightsError, match=r"of another shape: .* instead of "):
        write_bundle(tmp_path / "m", monai_manifest, other, licence_text="x")


def test_a_flexible_unet_never_fetches_weights():
    assert "pretrained" not in allowed_arguments("FlexibleUNet")
    arguments = {"in_channels": 3, "out_channels": 2, "backbone": "efficientnet-b0", "spatial_dims": 2}
    with torch.no_grad():
        answer = build_any("monai:FlexibleUNet", **arguments).eval()(torch.zeros(1, 3, 64, 32))
    assert answer.shape == (1, 2, 64, 32)
    plain = build_any("monai:FlexibleUNet", **arguments, pre_conv=None)
    assert not any("preconv" in name for name in plain.state_dict())
    with pytest.raises(ValueError, match="no argument 'pretrained'"):
        build_any("monai:FlexibleUNet", **arguments, pretrained=True)


def test_a_searched_architecture_has_known_fields_alone():
    with pytest.raises(ValueError, match=r"dints_space is an object of .*; it holds 'device'"):
        build_any("monai:DiNTS", dints_space={"device": "cuda"}, in_channels=1, num_classes=2)

"""Checkpoints in the authors' layouts become bundles that answer as the network the weights come from."""

import pickle

import numpy as np
import pytest
import torch

from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.import_checkpoint import import_checkpoint
from medseg.bundles.label_specs import label_specs
from medseg.bundles.official import dlka_net, mslau_net, ultralight_unet
from medseg.bundles.weights import load_network
from medseg.networks import build_network
from medseg.networks.mslau_net import OFFICIAL
from medseg.spec.errors import ManifestError, OutputExists, WeightsError
from medseg.spec.manifest import ChannelSpec, IntensityRule, SliceRule

RULE = IntensityRule(kind="clip_unit", lower=-100.0, upper=240.0)
CHOICES = Choices(model_id="m", labels=label_specs(["spleen", "liver"]), intensity=RULE)
DLKA = {
    "label_count": 3,
    "input_shape": (16, 16, 16),
    "stem": (2, 2, 2),
    "dims": (4, 8, 16, 32),
    "depths": (1, 1, 1, 1),
    "feature_size": 4,
}
PLANS = {
    "plans_per_stage": {
        0: {"current_spacing": np.array([6.0, 2.0, 2.0]), "patch_size": np.array([8, 8, 8])},
        1: {"current_spacing": np.array([3.0, 0.76, 0.76]), "patch_size": np.array([16, 16, 16])},
    },
    "modalities": {0: "CT"},
    "normalization_schemes": {0: "CT"},
    "transpose_forward": [0, 1, 2],
    "dataset_properties": {
        "intensityproperties": {
            0: {"percentile_00_5": np.float32(-958.0), "percentile_99_5": 327.0, "mean": np.float64(82.9), "sd": 136.9}
        }
    },
}


def built(name, **arguments):
    """A network in which no parameter has the value it starts from."""
    torch.manual_seed(0)
    network = build_network(name, **arguments).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def dlka():
    return built("dlka_net", **DLKA, deep_supervision=True)


@pytest.fixture
def run(tmp_path):
    """Save a checkpoint and import it."""

    def save_and_import(content, network, choices=CHOICES, **options):
        torch.save(content, tmp_path / "c.model")
        return import_checkpoint(tmp_path / "c.model", tmp_path / "ours", choices, network=network, **options)

    return save_and_import


def assert_answers_alike(bundle, network, shape):
    window = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(load_network(bundle)(window), network(window), rtol=0, atol=0)


@pytest.mark.parametrize("flavour", ["synapse", "pancreas"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_names_of_dlka_nets_encoder_and_data_parallel_are_read(run, dlka, flavour, prefix):
    state = {prefix + key: value for key, value in dlka_net.to_official(dlka.state_dict(), flavour=flavour).items()}
    imported = run(state, "dlka_net")
    assert_answers_alike(imported.bundle, dlka, (1, 1, 16, 16, 16))
    manifest = imported.bundle.manifest
    assert (manifest.window_shape, manifest.intensity, manifest.slices) == ((16, 16, 16), RULE, None)
    assert any("RAS is assumed" in note for note in imported.notes)


def nnunet(dlka):
    state = dlka_net.to_official(dlka.state_dict())
    return {"state_dict": state, "epoch": 1000, "best_stuff": (np.float64(0.8), None), "plot_stuff": [[np.float32(1)]]}


def test_an_nnunet_checkpoint_brings_its_plans(run, dlka, tmp_path):
    (tmp_path / "c.model.pkl").write_bytes(pickle.dumps({"plans": PLANS, "name": "d_lka_former_trainer"}))
    imported = run(nnunet(dlka), "dlka_net", Choices(model_id="m", labels=CHOICES.labels))
    manifest = imported.bundle.manifest
    assert manifest.spacing_mm == (3.0, 0.76, 0.76)
    assert manifest.orientation == "SPL"  # ITK's arrays begin with the slowest axis
    assert manifest.intensity == IntensityRule(kind="clip_zscore", lower=-958.0, upper=327.0, mean=82.9, std=136.9)
    assert [channel.modality for channel in manifest.channels] == ["CT"]
    assert_answers_alike(imported.bundle, dlka, (1, 1, 16, 16, 16))


def test_plans_of_two_mr_channels_and_turned_axes(tmp_path):
    from medseg.bundles.importing.nnunet_plans import read_plans

    changes = {"modalities": {0: "T1", 1: "T2"}, "normalization_schemes": {0: "nonCT", 1: "nonCT"}}
    turned = PLANS | changes | {"transpose_forward": [1, 0, 2], "use_mask_for_norm": {0: True, 1: True}}
    (tmp_path / "c.model.pkl").write_bytes(pickle.dumps({"plans": turned}))
    plans = read_plans(tmp_path / "c.model")
    assert (plans.orientation, plans.intensity) == ("PSL", IntensityRule(kind="zscore", nonzero_only=True))
    assert [channel.name for channel in plans.channels] == ["T1 0", "T2 1"]
    assert read_plans(tmp_path / "other.model") is None


def test_plans_that_would_run_code_or_are_none_are_refused(run, dlka, tmp_path):
    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / "PWNED"), "w")

    (tmp_path / "c.model.pkl").write_bytes(pickle.dumps({"plans": Attack()}))
    with pytest.raises(WeightsError, match="could run code"):
        run(nnunet(dlka), "dlka_net")
    assert not (tmp_path / "PWNED").exists()
    (tmp_path / "c.model.pkl").write_bytes(pickle.dumps({"plans": {}}))
    with pytest.raises(ManifestError, match="holds no nnU-Net v1 plans"):
        run(nnunet(dlka), "dlka_net")


def test_a_checkpoint_that_would_run_code_is_refused_and_nothing_is_written(run, dlka, tmp_path):
    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / "PWNED"), "w")

    with pytest.raises(WeightsError, match="could run code"):
        run(nnunet(dlka) | {"plot_stuff": Attack()}, "dlka_net")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.model"]


def test_missing_unexpected_and_misshapen_weights_are_named_as_the_authors_name_them(run, dlka, tmp_path):
    state = dlka_net.to_official(dlka.state_dict())
    state["surprise.weight"] = state.pop("encoder1.conv2.conv.weight")
    state["out1.conv.conv.bias"] = torch.zeros(5)
    with pytest.raises(WeightsError) as caught:
        run(state, "dlka_net")
    message = str(caught.value)
    assert "missing: encoder1.conv2.conv.weight" in message
    assert "unexpected: surprise.weight" in message
    assert "of another shape: out1.conv.conv.bias (5,) instead of (3,)" in message
    assert not (tmp_path / "ours").exists()


def test_weights_of_another_network_say_which(run, dlka):
    with pytest.raises(WeightsError, match="3D D-LKA Net, not of mslau_net; give --network dlka_net"):
        run(nnunet(dlka), "mslau_net")


def test_what_a_checkpoint_cannot_say_is_asked_for(run, dlka):
    with pytest.raises(ManifestError, match="--labels"):
        run(nnunet(dlka), "dlka_net", Choices(model_id="m", intensity=RULE))
    with pytest.raises(ManifestError, match="--intensity"):
        run(nnunet(dlka), "dlka_net", Choices(model_id="m", labels=CHOICES.labels))
    with pytest.raises(ManifestError, match="has 3 outputs, one of them the background, and 1 labels are given"):
        run(nnunet(dlka), "dlka_net", Choices(model_id="m", labels=label_specs(["spleen"]), intensity=RULE))


def test_an_existing_folder_is_kept(run, dlka, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(OutputExists):
        run(nnunet(dlka), "dlka_net")


MSLAU = {"dims": (64, 64, 64, 64), "depths": (1, 1, 1, 1), "heads": (1, 1), "label_count": 3}


@pytest.fixture(scope="module")
def mslau():
    return built("mslau_net", **OFFICIAL | MSLAU | {"in_channels": 1, "input_repeats": 3, "image_size": 64})


def test_a_2d_network_reads_slices_and_its_channel_is_repeated_as_published(run, mslau):
    window = (64, 64, 1)
    choices = Choices(model_id="m", labels=CHOICES.labels, intensity=RULE, window_shape=window)
    imported = run(mslau_net.to_official(mslau.state_dict()), "mslau_net", choices)
    manifest = imported.bundle.manifest
    assert manifest.slices == SliceRule(axis=2, fit="resize")
    assert (manifest.window_shape, manifest.arguments["image_size"]) == (window, 64)
    assert (manifest.arguments["in_channels"], manifest.arguments["input_repeats"]) == (1, 3)
    assert_answers_alike(imported.bundle, mslau, (1, 1, 64, 64))


def test_neighbouring_slices_may_take_the_place_of_repeated_ones(run, mslau):
    slices = SliceRule(axis=0, context=1, fit="resize")
    choices = Choices(model_id="m", labels=CHOICES.labels, intensity=RULE, slices=slices, window_shape=(1, 64, 64))
    manifest = run(mslau_net.to_official(mslau.state_dict()), "mslau_net", choices).bundle.manifest
    assert (manifest.arguments["in_channels"], "input_repeats" in manifest.arguments) == (3, False)
    assert (len(manifest.channels), manifest.slices) == (1, slices)


def test_a_file_of_the_encoder_alone_is_recognised_and_refused(run, mslau):
    state = mslau_net.to_official(mslau.state_dict())
    encoder = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    with pytest.raises(WeightsError, match="the encoder of MSLAU-Net alone, which cannot segment"):
        run({"model": encoder}, "mslau_net")


def test_three_colours_stay_three_channels(run):
    network = built("ultralight_unet", spatial_dims=2, in_channels=3, label_count=3, widths="T", deep_supervision=True)
    channels = tuple(ChannelSpec(name=name, modality="OT") for name in ("red", "green", "blue"))
    choices = Choices(model_id="m", labels=CHOICES.labels, intensity=RULE, channels=channels, window_shape=(32, 32, 1))
    imported = run(ultralight_unet.to_official(network.state_dict()), "ultralight_unet", choices)
    assert imported.bundle.manifest.arguments["in_channels"] == 3
    assert_answers_alike(imported.bundle, network, (1, 3, 32, 32))


def test_our_own_and_monais_names_load_with_arguments(run):
    arguments = {"widths": "T", "label_count": 3}
    network = built("ultralight_unet", **arguments)
    choices = Choices(model_id="m", labels=CHOICES.labels, intensity=RULE, window_shape=(32, 32, 32))
    with pytest.raises(WeightsError, match="need the network's --arguments"):
        run(network.state_dict(), "ultralight_unet", choices)
    imported = run(network.state_dict(), "ultralight_unet", choices, arguments=arguments)
    assert_answers_alike(imported.bundle, network, (1, 1, 32, 32, 32))


def test_monais_names_load_with_arguments(run):
    from medseg.bundles.build import build_any

    arguments = {"out_channels": 3, "init_filters": 8}
    network = build_any("monai:SegResNet", **arguments).eval()
    choices = Choices(model_id="m", labels=CHOICES.labels, intensity=RULE, window_shape=(16, 16, 16))
    imported = run({"model": network.state_dict()}, "monai:SegResNet", choices, arguments=arguments)
    assert_answers_alike(imported.bundle, network, (1, 1, 16, 16, 16))


def test_a_window_that_nothing_tells_is_asked_for(run):
    network = built("ultralight_unet", widths="T", label_count=3)
    with pytest.raises(ManifestError, match="--window"):
        run(network.state_dict(), "ultralight_unet", arguments={"widths": "T", "label_count": 3})

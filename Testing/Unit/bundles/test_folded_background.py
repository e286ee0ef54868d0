"""Outputs that only helped in training are background: the labels keep their probabilities, also in MONAI."""

from dataclasses import replace

import pytest
import torch

from Integration.tiny import write_tiny_bundle
from medseg.bundles.build import FoldedBackground, build_any
from medseg.bundles.catalogue import Bundle
from medseg.bundles.monai_config import inference_config
from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.networks import build_network


@pytest.fixture
def opened(tmp_path) -> tuple[torch.nn.Module, Bundle]:
    """A network with two outputs more than its labels, and its bundle."""
    manifest = write_tiny_bundle(tmp_path).manifest
    torch.manual_seed(0)
    wide = {**manifest.arguments, "label_count": manifest.label_count + 2}
    network = build_network(manifest.network, **wide).eval()
    arguments = {**manifest.arguments, "label_count": manifest.label_count, "background_outputs": 2}
    stored = FoldedBackground(network, 2)
    manifest = replace(manifest, arguments=arguments)
    return network, write_bundle(tmp_path / "folded", manifest, stored, licence_text="CC0\n")


def test_a_softmax_gives_each_label_what_it_had_and_the_background_the_rest(opened):
    network, bundle = opened
    volume = torch.randn(1, 1, 16, 20, 24)
    with torch.no_grad():
        before, after = (each(volume).softmax(dim=1) for each in (network, load_network(bundle)))
    labels = bundle.manifest.label_count
    torch.testing.assert_close(after[:, 1:], before[:, 1:labels])
    torch.testing.assert_close(after[:, :1], before[:, :1] + before[:, labels:].sum(dim=1, keepdim=True))


def test_monais_config_builds_the_same_network(opened):
    definition = inference_config(opened[1].manifest)["network_def"]
    assert definition.pop("_target_") == "medseg.bundles.build.build_any"
    built = build_any(**definition)
    assert list(built.state_dict()) == list(load_network(opened[1]).state_dict())


def test_outputs_are_counted_beside_the_labels():
    with pytest.raises(ValueError, match="counts outputs beside label_count"):
        build_any("ultralight_unet", background_outputs=2, in_channels=1)

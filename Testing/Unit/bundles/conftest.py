"""A small model for the tests of this folder."""

import pytest
import torch

from medseg.bundles.write import write_bundle
from medseg.networks import build_network
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest
from medseg.spec.measured import Timing
from small_manifest import dataset_scores

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
HIPPOCAMPUS = Code("SCT", "5366008", "Hippocampus")


@pytest.fixture
def manifest() -> ModelManifest:
    """Two labels, every optional part used somewhere."""
    return ModelManifest(
        model_id="tiny-model",
        title="Tiny model",
        version="1.2.0",
        description="A model for tests, größer als nichts",
        network="ultralight_unet",
        arguments={"in_channels": 1, "label_count": 3, "widths": [4, 4, 4, 8, 8], "pooling": [1, [1, 2, 2], 2, 2, 1]},
        labels=(
            LabelSpec(value=1, name="front", color=(10, 200, 30), category=ANATOMY, type=HIPPOCAMPUS),
            LabelSpec(
                value=2,
                name="back",
                color=(0, 0, 255),
                category=ANATOMY,
                type=HIPPOCAMPUS,
                type_modifier=Code("SCT", "7771000", "Left"),
            ),
        ),
        channels=(ChannelSpec(name="T1", modality="MR", pattern="t1|mprage"),),
        orientation="RAS",
        spacing_mm=(1.0, 1.0, 1.0),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(16, 16, 12),
        overlap=0.5,
        mirror_axes=(0,),
        anatomy="the hippocampus",
        intended_use="Research only.",
        licence="Apache-2.0",
        authors="Somebody",
        training_data="Nothing at all.",
        scores=(dataset_scores(),),
        timings=(Timing(device="one core", device_kind="cpu", seconds_per_case=2.0),),
        references=("A paper, doi 10/abc",),
    )


def random_network(manifest):
    """The manifest's network with random weights under which no label wins everywhere."""
    torch.manual_seed(0)
    network = build_network(manifest.network, **manifest.arguments).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        smooth = torch.nn.functional.avg_pool3d(torch.randn(1, len(manifest.channels), 24, 16, 18), 3, 1, 1)
        logits = network(smooth / smooth.std()).transpose(0, 1).flatten(1)
        network.head.weight /= logits.std(dim=1)[:, None, None, None, None]
        network.head.bias.copy_((network.head.bias - logits.mean(dim=1)) / logits.std(dim=1))
    return network


@pytest.fixture
def make_network():
    return random_network


@pytest.fixture
def network(manifest):
    return random_network(manifest)


@pytest.fixture
def bundle(tmp_path, manifest, network):
    """The model in its folder."""
    return write_bundle(tmp_path / "models" / "tiny-model", manifest, network, licence_text="Apache License 2.0\n")

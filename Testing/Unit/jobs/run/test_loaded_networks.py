import os
from dataclasses import replace

import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import save_weights
from medseg.jobs.run.loaded_networks import LoadedNetworks
from medseg.networks import build_network
from medseg.spec.errors import WeightsError
from medseg.spec.manifest import Code, IntensityRule, LabelSpec
from small_manifest import small_manifest

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
MANIFEST = small_manifest(
    model_id="tiny",
    title="Tiny",
    version="1",
    arguments={"in_channels": 1, "label_count": 2, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]},
    labels=(LabelSpec(value=1, name="one", color=(1, 2, 3), category=ANATOMY, type=ANATOMY),),
    intensity=IntensityRule(kind="none"),
    anatomy="any",
    licence="none",
)


@pytest.fixture
def make_bundle(tmp_path):
    def make(name="tiny", seed=0):
        bundle = Bundle(tmp_path / name, MANIFEST)
        bundle.weights_path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        save_weights(build_network(MANIFEST.network, **MANIFEST.arguments), bundle.weights_path)
        return bundle

    return make


def first_weight(network):
    return next(network.parameters()).flatten()[0].item()


def test_a_network_is_read_once(make_bundle):
    networks, bundle = LoadedNetworks(), make_bundle()
    assert networks.load(bundle) is networks.load(bundle)


def test_changed_weights_are_read_anew(make_bundle):
    networks, bundle = LoadedNetworks(), make_bundle()
    before = networks.load(bundle)
    make_bundle(seed=1)
    os.utime(bundle.weights_path, ns=(1, 1))
    after = networks.load(bundle)
    assert after is not before
    assert first_weight(after) != first_weight(before)


def test_another_description_of_the_same_weights_is_another_network(make_bundle):
    networks, bundle = LoadedNetworks(), make_bundle()
    before = networks.load(bundle)
    assert networks.load(replace(bundle, manifest=replace(MANIFEST, version="2"))) is not before


def test_the_network_unused_for_longest_makes_room(make_bundle):
    networks = LoadedNetworks(limit=2)
    a, b, c = (make_bundle(name) for name in "abc")
    kept, dropped = networks.load(a), networks.load(b)
    assert networks.load(a) is kept
    networks.load(c)
    assert networks.load(a) is kept
    assert networks.load(b) is not dropped


def test_weights_that_went_away_are_not_used(make_bundle):
    networks, bundle = LoadedNetworks(), make_bundle()
    networks.load(bundle)
    bundle.weights_path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        networks.load(bundle)


def test_freeing_devices_keeps_the_networks(make_bundle):
    networks, bundle = LoadedNetworks(), make_bundle()
    network = networks.load(bundle)
    networks.free_devices()
    assert networks.load(bundle) is network
    assert next(network.parameters()).device.type == "cpu"


@pytest.mark.parametrize("used", [True, False])
def test_a_graphics_cards_memory_is_given_back_when_one_was_used(make_bundle, monkeypatch, used):
    calls = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("emptied"))
    networks = LoadedNetworks()
    networks.load(make_bundle())
    networks.free_devices()
    assert calls == ["emptied"] * used


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA graphics card")
def test_nothing_stays_on_the_card(make_bundle):
    networks = LoadedNetworks()
    network = networks.load(make_bundle()).to("cuda")
    network(torch.zeros(1, 1, 16, 16, 16, device="cuda"))
    assert torch.cuda.memory_reserved() > 0
    networks.free_devices()
    assert torch.cuda.memory_reserved() == 0

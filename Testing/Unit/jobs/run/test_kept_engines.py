"""Engines are kept between jobs, and never longer than the network they were made from."""

import os
import weakref
from dataclasses import replace

import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import save_weights
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.loaded_networks import LoadedNetworks
from medseg.kernels.engines.agreement import agrees
from medseg.kernels.engines.openvino_engine import openvino_is_installed
from medseg.networks import build_network
from medseg.spec.errors import JobError
from medseg.spec.manifest import Code, LabelSpec
from small_manifest import small_manifest

CPU = torch.device("cpu")
ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
MANIFEST = small_manifest(
    labels=(LabelSpec(value=1, name="one", color=(1, 2, 3), category=ANATOMY, type=ANATOMY),),
    arguments={"in_channels": 1, "label_count": 2, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]},
    window_shape=(16, 16, 16),
)
OTHER_WINDOW = replace(MANIFEST, window_shape=(16, 16, 32))
needs_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="needs the extra openvino")
needs_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA graphics card")


def make_network(seed=0):
    torch.manual_seed(seed)
    return build_network(MANIFEST.network, **MANIFEST.arguments).eval()


@pytest.fixture
def network():
    return make_network()


@pytest.fixture
def engines(tmp_path):
    return KeptEngines(folder=tmp_path / "cache")


def ask(engines, network, manifest=MANIFEST, *, name="torch", device=CPU, precision="float32", passes=None):
    return engines.get(network, manifest, name=name, device=device, precision=precision, passes=passes)


def answers_alike(engine, network):
    windows = torch.randn(1, 1, *MANIFEST.window_shape)
    with torch.inference_mode():
        return agrees(engine(windows), network(windows))


def test_the_second_job_gets_the_same_engine(engines, network):
    first = ask(engines, network)
    assert ask(engines, network) is first
    assert engines.latest is first


@pytest.mark.parametrize(
    "change",
    [{"manifest": OTHER_WINDOW}, {"name": "auto"}, {"precision": "bfloat16"}],
    ids=["window", "name", "precision"],
)
def test_anything_else_asked_for_is_another_engine(engines, network, change, monkeypatch):
    monkeypatch.setattr("medseg.kernels.engines.make.openvino_is_installed", lambda: False)
    first = ask(engines, network)
    assert ask(engines, network, **change) is not first
    assert ask(engines, network) is first


def test_another_network_of_the_same_kind_has_its_own_engine(engines, network):
    other = make_network(seed=1)
    assert ask(engines, other) is not ask(engines, network)
    assert answers_alike(ask(engines, other), other)
    assert answers_alike(ask(engines, network), network)


def test_with_another_number_of_threads_the_engine_is_made_anew(engines, network):
    before = torch.get_num_threads()
    first = ask(engines, network)
    try:
        torch.set_num_threads(before + 1)
        assert ask(engines, network) is not first
    finally:
        torch.set_num_threads(before)


def test_a_small_job_is_not_prepared_for_but_many_of_them_are(engines, network):
    small = ask(engines, network, passes=6)
    assert small.hasty
    assert ask(engines, network, passes=1) is small
    lean = ask(engines, network, passes=9)
    assert not lean.hasty
    assert ask(engines, network, passes=1) is lean
    assert answers_alike(lean, network)


@needs_a_card
def test_an_engine_that_is_no_copy_still_runs_after_its_network_was_elsewhere(engines, network):
    plain = ask(engines, network, passes=1)
    network.to("cuda")
    assert ask(engines, network, passes=1) is plain
    assert answers_alike(plain, network)


def test_the_engine_unused_for_longest_makes_room(network, tmp_path):
    engines = KeptEngines(limit=2, folder=tmp_path)
    first, second = ask(engines, network), ask(engines, network, OTHER_WINDOW)
    assert ask(engines, network) is first
    ask(engines, network, precision="bfloat16")
    assert ask(engines, network) is first
    assert ask(engines, network, OTHER_WINDOW) is not second


def test_a_forgotten_network_leaves_nothing_behind(engines):
    network = make_network()
    ask(engines, network)
    ask(engines, network, passes=1, precision="bfloat16")
    gone = weakref.ref(network)
    engines.forget(network)
    del network
    assert gone() is None


def test_other_networks_keep_their_engines_when_one_is_forgotten(engines, network):
    other = make_network(seed=1)
    first, kept = ask(engines, network), ask(engines, other)
    engines.forget(network)
    assert ask(engines, other) is kept
    assert ask(engines, network) is not first


def test_an_engine_goes_with_the_network_that_makes_room_or_has_changed(engines, tmp_path):
    def make_bundle(name, seed):
        bundle = Bundle(tmp_path / name, MANIFEST)
        bundle.weights_path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(make_network(seed), bundle.weights_path)
        os.utime(bundle.weights_path, ns=(seed + 1, seed + 1))
        return bundle

    networks = LoadedNetworks(limit=1, dropped=engines.forget)
    a = make_bundle("a", 0)
    gone = weakref.ref(networks.load(a))
    ask(engines, gone())
    networks.load(make_bundle("b", 1))
    assert gone() is None
    gone = weakref.ref(networks.load(a))
    ask(engines, gone())
    changed = networks.load(make_bundle("a", 2))
    assert gone() is None
    assert answers_alike(ask(engines, changed), changed)


def test_freeing_devices_keeps_what_runs_on_the_processor(engines, network):
    first = ask(engines, network)
    engines.free_devices()
    assert ask(engines, network) is first


@needs_a_card
def test_nothing_of_an_engine_stays_on_a_card(engines, network):
    card = torch.device("cuda:0")
    with torch.inference_mode():
        ask(engines, network, device=card)(torch.zeros(1, 1, *MANIFEST.window_shape, device=card))
    engines.free_devices()
    network.to(CPU)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() == 0


@needs_openvino
def test_openvino_is_made_once_and_a_new_worker_takes_it_from_the_folder(network, tmp_path):
    engines = KeptEngines(folder=tmp_path)
    first = ask(engines, network, name="openvino")
    assert first.description == first.name
    assert ask(engines, network, name="openvino") is first
    later = ask(KeptEngines(folder=tmp_path), network, name="openvino")
    assert later.from_cache
    assert later.description == f"{later.name}, compiled network from the cache"


@needs_openvino
def test_openvino_is_used_from_the_job_after_its_installation_on(engines, network):
    with pytest.MonkeyPatch.context() as not_installed:
        not_installed.setattr("importlib.util.find_spec", lambda *_: None)
        assert ask(engines, network, name="auto").name.startswith("PyTorch")
    assert ask(engines, network, name="auto").name.startswith("OpenVINO")


def test_an_unknown_engine_is_refused(engines, network):
    with pytest.raises(JobError, match="one of auto, torch, openvino, got 'onnx'"):
        ask(engines, network, name="onnx")

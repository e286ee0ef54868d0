"""Whole official checkpoints, dead weights and all, imported by the command: the model computes what was published."""

from importlib.util import find_spec

import pytest
import torch

from medseg.bundles.catalogue import scan
from medseg.bundles.weights import load_network
from medseg.cli.main import run
from medseg.networks.dlka_net import DLKANet
from official_fixtures import read_fixture
from seeded_fixtures import seeded_fixture


def import_official(tmp_path, state, network, label_count, *flags):
    """Save official weights as DataParallel does, import them and load the network of the bundle."""
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "official.pth")
    labels = ",".join(f"organ {n}" for n in range(1, label_count))
    flags = ["--network", network, "--labels", labels, "--intensity", "clip_zscore:-125,275,75,200", *flags]
    assert run(["models", "import", str(tmp_path / "official.pth"), "-o", str(tmp_path / "models" / "m"), *flags]) == 0
    bundle = scan([tmp_path / "models"]).bundles["m"]
    return bundle.manifest, load_network(bundle)


def test_3d_dlka_net(tmp_path):
    fixture = read_fixture("dlka3d_small_32")
    count, shape = fixture.config["out_channels"], fixture.config["img_size"]
    # the position embeddings tell how many cells there are, not along which axis
    window = ["--window", ",".join(map(str, shape))]
    manifest, network = import_official(tmp_path, fixture.state(), "dlka_net", count, *window)
    assert isinstance(network, DLKANet)
    assert list(manifest.window_shape) == list(shape)
    with torch.no_grad():
        assert fixture.difference("out0", network(*fixture.inputs())) <= fixture.allowed("out0")


@pytest.mark.skipif(find_spec("timm") is None, reason="the encoder of 2D D-LKA Net comes from timm")
def test_2d_dlka_net(tmp_path):
    fixture = read_fixture("dlka2d_deform_224")
    manifest, network = import_official(tmp_path, fixture.state(), "dlka_net_2d", 9, "--channels", "R:OT,G:OT,B:OT")
    (image,) = fixture.inputs()
    image = image if image.shape[1] == 3 else image.repeat(1, 3, 1, 1)
    with torch.no_grad():
        assert fixture.difference("out0", network(image)) <= fixture.allowed("out0")
    assert (manifest.window_shape, manifest.slices.fit) == ((224, 224, 1), "resize")


def test_mk_unet(tmp_path):
    fixture = read_fixture("mkunet_base_64x96_c9")
    flags = ["--channels", "R:OT,G:OT,B:OT", "--window", "64,96,1"]
    _, network = import_official(tmp_path, fixture.state(), "ultralight_unet", fixture.config["num_classes"], *flags)
    with torch.no_grad():
        assert fixture.difference("out0", network(*fixture.inputs())) <= fixture.allowed("out0")


def test_one_output_for_a_sigmoid_becomes_a_label_beside_a_background_of_0(tmp_path):
    fixture = read_fixture("mkunet_base_256")
    flags = ["--channels", "R:OT,G:OT,B:OT", "--window", "256,256,1"]
    _, network = import_official(tmp_path, fixture.state(), "ultralight_unet", 2, *flags)
    with torch.no_grad():
        background, label = network(*fixture.inputs()).split(1, dim=1)
    assert not background.any()
    assert fixture.difference("out0", label) <= fixture.allowed("out0")
    torch.testing.assert_close(torch.cat([background, label], 1).softmax(1)[:, 1:], label.sigmoid())


@pytest.mark.parametrize(
    ("name", "network", "flags"),
    [
        ("mslau_synapse_224_c9", "mslau_net", []),
        ("medt_128", "medical_transformer", ["--channels", "R:OT,G:OT,B:OT"]),
    ],
)
def test_mslau_net_and_medt(tmp_path, name, network, flags):
    fixture = seeded_fixture(name)
    count = fixture.record["output"]["shape"][1]
    _, loaded = import_official(tmp_path, fixture.state(), network, count, *flags)
    with torch.no_grad():
        found = loaded(fixture.image()).flatten()[:: fixture.record["output"]["stride"]]
    expected = torch.from_numpy(fixture.arrays["output"]).flatten()
    assert float((found - expected).abs().max()) <= fixture.allowed

"""Every network of the project is planned, trained and stored by one mechanism."""

import json
from importlib.util import find_spec

import pytest
import torch

from medseg.bundles.weights import load_network
from medseg.io.dataset import describe_dataset
from medseg.networks import NETWORKS
from medseg.training.planning.fingerprint import take_fingerprint
from medseg.training.planning.propose import propose
from medseg.training.train import train
from Unit.training.phantoms import a_config

SMALL = {
    "dlka_net": {"dims": [4, 8, 16, 32], "depths": [1, 1, 1, 1]},
    "dlka_net_2d": {"dims": [32, 64, 128, 256], "depths": [1, 1, 1, 1]},
    "emf_former": {"channels": [16, 32], "depths": [1, 1], "heads": [2, 4], "strides": [2, 2]},
    "medical_transformer": {"planes": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "groups": 2},
    "monai:DynUNet": {"filters": [4, 8, 8]},
    "monai:SegResNet": {"init_filters": 4, "norm": ["GROUP", {"num_groups": 2}]},
    "mslau_net": {"dims": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "heads": [1, 2]},
    "ultralight_unet": {"widths": "T"},
}
FLAT = ("emf_former", "mslau_net")  # these also in 2D; D-LKA Net in 2D is a network of its own


def test_no_network_is_forgotten():
    assert set(SMALL) >= set(NETWORKS)


@pytest.mark.parametrize(("name", "axis"), [*((name, None) for name in SMALL), *((name, 2) for name in FLAT)])
def test_a_network_is_planned_trained_and_stored(name, axis, phantoms, tmp_path):
    if name == "dlka_net_2d" and find_spec("timm") is None:  # imported as the package does it, beside any torchvision
        pytest.skip("its encoder needs timm")
    dataset = describe_dataset(phantoms)
    changes = [f"model.arguments.{each}={json.dumps(value)}" for each, value in SMALL[name].items()]
    config = a_config(tmp_path / "m", network=name, changes=tuple(changes), slice_axis=axis, batch=2, steps=1)
    plan = propose(dataset, take_fingerprint(dataset), config, torch.device("cpu"))
    assert (plan.model.slices is None) == (axis is None and name != "dlka_net_2d")
    bundle = train(config, plan, list(dataset.cases.values())[:2])
    names = load_network(bundle).state_dict()
    assert names
    assert not [each for each in names if "side_heads" in each or "deep_supervision_heads" in each]

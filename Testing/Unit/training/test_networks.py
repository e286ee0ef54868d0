"""Every network of the project is planned, trained and stored by one mechanism."""

import pytest
import torch

from medseg.bundles.weights import load_network
from medseg.io.dataset import describe_dataset
from medseg.networks import NETWORKS
from medseg.training.planning.fingerprint import take_fingerprint
from medseg.training.planning.propose import PlanConstraints, propose
from medseg.training.train import Settings, train

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
    if name == "dlka_net_2d":
        pytest.importorskip("timm")
    dataset = describe_dataset(phantoms)
    wishes = PlanConstraints(model_id="m", network=name, arguments=SMALL[name], slice_axis=axis, batch=2, steps=1)
    plan = propose(dataset, take_fingerprint(dataset), wishes, torch.device("cpu"))
    assert (plan.model.slices is None) == (axis is None and name != "dlka_net_2d")
    bundle = train(list(dataset.cases.values())[:2], plan, tmp_path / "m", settings=Settings(workers=0))
    names = load_network(bundle).state_dict()
    assert names
    assert not [each for each in names if "side_heads" in each or "deep_supervision_heads" in each]

"""What every network in NETWORKS must do, whatever it is."""

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from medseg.networks import NETWORKS, build_network
from small_networks import CASES, build, image


def test_every_network_has_a_case():
    assert {name for name, *_ in CASES.values()} == set(NETWORKS)


def test_an_unknown_network_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'unet'.*dlka_net.*ultralight_unet"):
        build_network("unet")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [2, 3])
def test_logits_have_the_size_of_the_image(case, size):
    sizes = CASES[case][size]
    with torch.no_grad():
        logits = build(case)(image(case, sizes))
    assert logits.shape == (1, 3, *sizes)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_two_is_two_batches_of_one(case):
    network, pair = build(case), image(case, CASES[case][3], batch=2)
    with torch.no_grad():
        together, apart = network(pair), torch.cat([network(pair[:1]), network(pair[1:])])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_evaluation_gives_the_same_twice_and_changes_no_weight(case):
    network, x = build(case), image(case, CASES[case][2])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def without_gradient(case, seed, **changes):
    """Parameters that one backward pass does not reach."""
    network = build(case, seed, **changes).train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # batch statistics cancel a bias in front of them
    outputs = network(image(case, CASES[case][2], batch=2))
    sum(output.square().mean() for output in (outputs if isinstance(outputs, list) else [outputs])).backward()
    return {key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("deep_supervision", [False, True])
def test_gradients_reach_every_parameter(case, deep_supervision):
    """Of several draws of the weights, as a ReLU of few channels may be silent in one."""
    unreached = without_gradient(case, 0, deep_supervision=deep_supervision)
    for seed in range(1, 12):
        if unreached:
            unreached &= without_gradient(case, seed, deep_supervision=deep_supervision)
    assert unreached == set()


OPTIONS = [
    *(("medt-3d", {"variant": variant}) for variant in ("axial", "gated", "logo")),
    ("medt-3d", {"gate_after_norm": True}),
    ("medt-2d", {"patch_by_patch": True}),
    ("emf-3d", {"refine": False}),
    ("emf-2d", {"odd_sizes": "cut", "keep_every": 1}),
    ("mslau-3d", {"separable": True}),
    ("mslau-2d", {"softmax": "official", "merge": "official", "input_repeats": 3}),
    ("ultralight-3d", {"gates": False}),
    ("ultralight-2d", {"input_repeats": 3, "gate_kernel": 1}),
    ("dlka-2d", {"input_repeats": 2}),
]


@pytest.mark.parametrize(("case", "options"), OPTIONS, ids=str)
def test_gradients_reach_every_parameter_of_every_option(case, options):
    unreached = without_gradient(case, 0, **options)
    for seed in range(1, 12):
        if unreached:
            unreached &= without_gradient(case, seed, **options)
    assert unreached == set()


@pytest.mark.parametrize("case", CASES)
def test_side_outputs_come_in_training_only_and_shrink(case):
    network, x = build(case, deep_supervision=True), image(case, CASES[case][2], batch=2)
    assert isinstance(network(x), torch.Tensor)
    outputs = network.train()(x)
    assert outputs[0].shape[2:] == x.shape[2:]
    voxels = [output[0, 0].numel() for output in outputs]
    assert voxels == sorted(set(voxels), reverse=True)


@pytest.mark.parametrize("case", CASES)
def test_weights_survive_a_safetensors_file(case, tmp_path):
    network, x = build(case), image(case, CASES[case][2])
    save_model(network, tmp_path / "model.safetensors")
    name, arguments, *_ = CASES[case]
    other = build_network(name, **arguments).eval()
    assert load_model(other, tmp_path / "model.safetensors") == (set(), [])
    with torch.no_grad():
        assert torch.equal(other(x), network(x))


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_stays_close_to_float32(case):
    network, x = build(case), image(case, CASES[case][2])
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            automatic = network(x).float()
        rough = network.bfloat16()(x.bfloat16()).float()
    spread = (exact - exact.mean()).norm()
    assert (automatic - exact).norm() < 0.1 * spread
    assert (rough - exact).norm() < 0.2 * spread

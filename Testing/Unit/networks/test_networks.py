"""What every network in NETWORKS must do, whatever it is."""

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from medseg.networks import NETWORKS, build_network

SMALL_DLKA = {"in_channels": 2, "label_count": 3, "input_shape": (8, 16, 16), "stem": (2, 4, 4), "dims": (4, 8, 16, 32)}
SMALL_DLKA |= {"depths": (1, 1, 1, 1), "feature_size": 4}
SMALL_DLKA_2D = {"in_channels": 2, "label_count": 3, "image_size": 64, "dims": (32, 64, 128, 256), "depths": (1,) * 4}
SMALL_EMF = {"in_channels": 2, "label_count": 3, "channels": (8, 16, 16, 32), "depths": (1, 1, 2, 1), "groups": 2}
SMALL_EMF |= {"heads": (2, 4, 4, 4)}
SMALL_ULTRALIGHT = {"in_channels": 2, "label_count": 3, "widths": (4, 6, 8, 8, 12)}
SMALL_MEDT = {"in_channels": 2, "label_count": 3, "planes": (4, 4, 8, 8), "depths": (1, 2, 1, 1), "groups": 2}
SMALL_MEDT |= {"stem_channels": (4, 8), "local_stem_channels": (8, 8), "spatial_dims": 2, "image_size": 64}
VOLUME_MEDT = SMALL_MEDT | {"spatial_dims": 3, "image_size": 32, "patch_grid": 2}
SMALL_MSLAU = {"in_channels": 2, "label_count": 3, "dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1), "heads": (1, 2)}
OFFICIAL_MSLAU = dict.fromkeys(("layout", "softmax", "merge"), "official") | {"spatial_dims": 2}

# name in NETWORKS, arguments, a size it was made for, an odd size its contract allows
CASES = {
    "dlka": ("dlka_net", SMALL_DLKA, (8, 16, 16), (10, 12, 20)),
    "dlka-baseline": ("dlka_net", SMALL_DLKA | {"deformable": False}, (8, 16, 16), (2, 4, 28)),
    "dlka-2d": ("dlka_net_2d", SMALL_DLKA_2D, (64, 64), (64, 128)),
    "dlka-2d-baseline": ("dlka_net_2d", SMALL_DLKA_2D | {"deformable": False}, (64, 64), (128, 64)),
    "emf-3d": ("emf_former", SMALL_EMF, (32, 32, 64), (17, 20, 9)),
    "emf-2d": ("emf_former", SMALL_EMF | {"spatial_dims": 2}, (64, 64), (33, 70)),
    "axial": ("medical_transformer", SMALL_MEDT | {"variant": "axial"}, (64, 64), (33, 70)),
    "gated": ("medical_transformer", SMALL_MEDT | {"variant": "gated"}, (64, 64), (33, 70)),
    "logo": ("medical_transformer", SMALL_MEDT | {"variant": "logo"}, (64, 64), (33, 70)),
    "medt-2d": ("medical_transformer", SMALL_MEDT, (64, 64), (33, 70)),
    "medt-3d": ("medical_transformer", VOLUME_MEDT, (32, 32, 32), (17, 20, 9)),
    "mslau-3d": ("mslau_net", SMALL_MSLAU, (64, 32, 32), (33, 40, 7)),
    "mslau-2d": ("mslau_net", SMALL_MSLAU | {"spatial_dims": 2}, (64, 64), (33, 70)),
    "mslau-official": ("mslau_net", SMALL_MSLAU | OFFICIAL_MSLAU, (64, 64), (96, 96)),
    "ultralight-3d": ("ultralight_unet", SMALL_ULTRALIGHT, (16, 16, 16), (7, 9, 21)),
    "ultralight-2d": ("ultralight_unet", SMALL_ULTRALIGHT | {"spatial_dims": 2}, (32, 32), (7, 21)),
}


def build(case, seed=1, **changes):
    """A network whose every branch shows: layer scales near one, offsets that move, running statistics that matter."""
    name, arguments, *_ = CASES[case]
    torch.manual_seed(seed)
    network = build_network(name, **arguments, **changes)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith(("scale", "position")):
                value.normal_(0.5, 0.1)
            elif value.ndim == 1 and value.is_floating_point():
                value.normal_(value.mean(), 0.1)
            elif value.ndim >= 2:
                value.normal_(std=1 / value[0].numel() ** 0.5)
    return network.eval()


def image(case, sizes, batch=1):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, CASES[case][1]["in_channels"], *sizes, generator=generator)


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

"""Lean copies of networks say what the networks say: norms and shuffles folded, slabs, sums in place."""

import pytest
import torch
from torch import nn

from medseg.kernels.engines.agreement import relative_errors
from medseg.kernels.engines.folding import fold_batch_norms, fold_shuffles
from medseg.kernels.engines.lean_blocks import CarefulInstanceNorm, LeanGAG, LeanMKIR, LeanSpatialAttention
from medseg.kernels.engines.slabs import from_slabs, in_slabs, slab_count
from medseg.kernels.engines.torch_engine import lean_copy, mostly_depthwise, torch_engine
from medseg.networks import build_network
from medseg.networks.blocks.cmfa import SpatialAttention
from medseg.networks.blocks.gag import GAG
from medseg.networks.blocks.mkir import MKIR

CPU = torch.device("cpu")


def with_statistics(network):
    """The network as training would leave it: norms that move and scale."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("convolution", "size"),
    [
        (nn.Conv3d(4, 6, 3), (7, 6, 5)),
        (nn.Conv3d(4, 8, 3, groups=4, bias=False), (7, 6, 5)),
        (nn.Conv2d(4, 6, (1, 3), stride=2, groups=2), (7, 6)),
        (nn.ConvTranspose3d(4, 6, 2, stride=2), (3, 4, 5)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False), (5, 4)),
        (nn.Conv1d(4, 6, 3), (7,)),
    ],
)
def test_a_norm_goes_into_every_kind_of_convolution(convolution, size):
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[len(size)](convolution.out_channels)
    network = with_statistics(nn.Sequential(convolution, norm)).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    expected = network(x)
    assert fold_batch_norms(network, x) == 1
    assert isinstance(network[1], nn.Identity)
    torch.testing.assert_close(network(x), expected)


class Branching(nn.Module):
    """One norm after two convolutions, and a convolution that is used with and without its norm."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.shared, self.own = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        x = self.shared(self.first(x)) + self.shared(self.second(x))
        return self.own(self.third(x)) + self.third(x)


def test_a_norm_stays_where_it_does_not_belong_to_one_convolution_alone():
    network = with_statistics(Branching())
    x = torch.randn(1, 3, 4, 4)
    expected = network(x)
    assert fold_batch_norms(network, x) == 0
    assert torch.equal(network(x), expected)


def test_a_norm_without_running_statistics_stays():
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)).eval()
    assert fold_batch_norms(network, torch.randn(1, 2, 3, 3)) == 0


def test_a_folded_shuffle_gives_the_same_numbers():
    block = with_statistics(MKIR(3, 3, 4)).double()
    x = torch.randn(1, 3, 4, 5, 6, dtype=torch.float64)
    expected = block(x)
    assert block.shuffle_groups == 2
    assert fold_shuffles(block) == 1
    assert block.shuffle_groups == 1
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("channels", "size", "count"), [(2, 96, 8), (1, 96, 16), (2, 7, 7), (2, 11, 1), (16, 96, 1), (40, 8, 1)]
)
def test_slabs_fill_the_lanes_where_the_size_allows(channels, size, count):
    assert slab_count(channels, size) == count


def test_slabs_without_a_halo_come_back_as_they_were():
    x = torch.randn(2, 3, 12, 4, 5)
    assert torch.equal(from_slabs(in_slabs(x, 4, 0), 4), x)


@pytest.mark.parametrize("size", [(16, 6, 7), (7, 6, 5), (11, 4, 6), (8, 10), (13, 5)])
@pytest.mark.parametrize("channels", [(1, 4), (2, 2), (16, 8)])
def test_the_lean_multi_kernel_block_is_the_block(size, channels):
    block = with_statistics(MKIR(len(size), *channels)).double()
    x = torch.randn(2, channels[0], *size, dtype=torch.float64)
    expected = block(x)
    fold_batch_norms(block, x)
    fold_shuffles(block)
    lean = LeanMKIR(block)
    kept = x.clone()
    torch.testing.assert_close(lean(x), expected)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("size", [(6, 7, 5), (8, 9)])
def test_the_lean_gate_is_the_gate(size):
    gate = with_statistics(GAG(len(size), 6)).double()
    x, skip = torch.randn(2, 2, 6, *size, dtype=torch.float64)
    expected = gate(x, skip)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = gate

        def forward(self, pair):
            return self.gate(pair[:, 0], pair[:, 1])

    fold_batch_norms(Both(), torch.stack([x, skip], dim=1))
    torch.testing.assert_close(LeanGAG(gate)(x, skip), expected)


@pytest.mark.parametrize("size", [(12, 7, 5), (11, 9), (8, 8)])
def test_the_lean_spatial_attention_is_the_spatial_attention(size):
    attention = with_statistics(SpatialAttention(len(size))).double()
    x = torch.randn(2, 5, *size, dtype=torch.float64)
    torch.testing.assert_close(LeanSpatialAttention(attention)(x), attention(x))


def test_blocks_whose_norms_are_still_there_are_refused():
    with pytest.raises(ValueError, match="folded norms and shuffle"):
        LeanMKIR(MKIR(2, 4, 4))
    with pytest.raises(ValueError, match="folded norms and two channels"):
        LeanGAG(GAG(2, 4))


@pytest.mark.parametrize("size", [(24, 10, 7), (13, 16), (9,)])
def test_the_careful_instance_norm_is_the_instance_norm(size):
    kind = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[len(size)]
    norm = kind(3, affine=True).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 5 + torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(CarefulInstanceNorm(norm.eps, norm.weight, norm.bias)(x), norm(x))


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("ultralight_unet", {"widths": "T", "label_count": 3}, (1, 32, 32, 32)),
        ("ultralight_unet", {"widths": "S", "spatial_dims": 2, "input_repeats": 3, "gate_kernel": 1}, (1, 64, 32)),
        (
            "dlka_net",
            {"input_shape": (32, 32, 32), "stem": (2, 2, 2), "dims": (4, 8, 8, 8), "depths": (1, 1, 1, 1)},
            (1, 32, 32, 32),
        ),
    ],
)
def test_a_lean_copy_of_a_network_says_the_same_and_leaves_the_network_alone(name, arguments, shape):
    network = with_statistics(build_network(name, **arguments))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(2, *shape)
    expected = network(x)
    lean = lean_copy(network, shape, CPU)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in lean.modules())
    mean, largest = relative_errors(lean(x), expected)
    assert mean < 2e-5
    assert largest < 1e-3
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_only_depthwise_networks_are_laid_out_channels_last():
    assert mostly_depthwise(build_network("ultralight_unet", widths="T"))
    assert not mostly_depthwise(nn.Sequential(nn.Conv3d(1, 1, 3), nn.Conv3d(4, 4, 1, groups=4)))


@pytest.mark.parametrize(
    ("layers", "trials"),
    [
        ((torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.InstanceNorm3d(4), torch.nn.LeakyReLU()), 0),
        ((torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.BatchNorm3d(4)), 2),
    ],
    ids=["nothing to fold", "a batch norm"],
)
def test_a_network_in_which_there_is_nothing_to_fold_is_not_tried_out(layers, trials):
    calls = []

    class Counted(torch.nn.Sequential):
        def forward(self, x):
            calls.append(1)
            return super().forward(x)

    network = Counted(*layers).eval()
    engine = torch_engine(network, (1, 8, 8, 8), device=torch.device("cpu"))
    assert (len(calls) >= trials) if trials else not calls
    windows = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(engine.run(windows), network(windows).detach(), rtol=1e-4, atol=1e-5)

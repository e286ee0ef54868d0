"""The faster MKIR block is PyTorch's own in every number, and nothing changes where it cannot be used."""

import copy
import warnings

import pytest
import torch
from torch import nn

from medseg.kernels.cpp import fast_mkir
from medseg.kernels.cpp.compiled import compiled
from medseg.networks import build_network
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.norms import Norm, choose_norm
from medseg.training.loop.loss import DiceCrossEntropy, supervise


@pytest.fixture(scope="module")
def kernels():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's build helper talks about compilers
        if compiled("mkir_kernel") is None or compiled("depthwise_gradient") is None:
            pytest.skip("needs a C++ compiler and ninja")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def a_block(in_channels: int, out_channels: int, norm: Norm = "batch") -> MKIR:
    torch.manual_seed(in_channels)
    block = MKIR(3, in_channels, out_channels)
    choose_norm(block, norm)
    for parameter in block.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    return block.train()


def error(mine: torch.Tensor, truth: torch.Tensor) -> float:
    mine, truth = mine.detach(), truth.detach()
    return ((mine.double() - truth).norm() / truth.norm().clamp(min=1e-12)).item()


@pytest.mark.usefixtures("kernels", "two_threads")
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "size"),
    [(16, 32, (6, 9, 10)), (16, 16, (5, 2, 17)), (32, 16, (1, 6, 4)), (8, 16, (4, 4, 9)), (96, 160, (2, 3, 5))],
)
def test_outputs_gradients_and_running_statistics_are_those_in_double_precision(in_channels, out_channels, size, norm):
    fast = a_block(in_channels, out_channels, norm)
    exact = copy.deepcopy(fast).double()
    assert fast_mkir.accelerate_blocks(fast) == 1
    x = (torch.randn(2, in_channels, *size) + 0.5).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    y, cotangent = x.detach().double().requires_grad_(), torch.randn(2, out_channels, *size)
    mine, truth = fast(x), exact(y)
    mine.backward(cotangent)
    truth.backward(cotangent.double())
    assert error(mine, truth) < 1e-5
    assert error(x.grad, y.grad) < 1e-5
    for (name, one), other in zip(fast.named_parameters(), exact.parameters(), strict=True):
        assert error(one.grad, other.grad) < 1e-4, name
    for (name, one), other in zip(fast.named_buffers(), exact.buffers(), strict=True):
        assert error(one, other.double()) < 1e-5, name


@pytest.mark.usefixtures("kernels")
def test_a_network_learns_the_same_and_keeps_its_names_its_answers_and_its_copies():
    torch.manual_seed(0)
    network = build_network("ultralight_unet", label_count=3, pooling=(1, 2, 2, 2, 1), deep_supervision=True).train()
    twin, exact = copy.deepcopy(network), copy.deepcopy(network).double()
    assert fast_mkir.accelerate_blocks(network) >= 8
    x, labels = torch.randn(2, 1, 16, 16, 16), torch.randint(0, 3, (2, 1, 16, 16, 16))
    gradients = []
    for each, image in ((network, x), (twin, x), (exact, x.double())):
        supervise(DiceCrossEntropy(), each(image), labels).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in each.parameters()]))
    fast, plain, truth = gradients
    assert error(fast, truth) < 3 * error(plain, truth) + 1e-5  # rounding grows from layer to layer, here as there
    assert network.state_dict().keys() == twin.state_dict().keys()
    torch.testing.assert_close(copy.deepcopy(network).eval()(x), twin.eval()(x), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("kernels")
def test_the_same_step_gives_the_same_gradients_to_the_bit():
    gradients = []
    for _ in range(2):
        block = a_block(16, 16)
        fast_mkir.accelerate_blocks(block)
        torch.manual_seed(1)
        block(torch.randn(2, 16, 7, 6, 5)).square().sum().backward()
        gradients.append([parameter.grad for parameter in block.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.usefixtures("kernels")
def test_a_copy_changes_its_own_statistics():
    block = a_block(16, 16)
    fast_mkir.accelerate_blocks(block)
    twin = copy.deepcopy(block)
    twin(torch.randn(2, 16, 4, 4, 4))
    assert int(twin.project[1].num_batches_tracked) == 1
    assert int(block.project[1].num_batches_tracked) == 0


@pytest.mark.usefixtures("kernels")
def test_a_second_derivative_is_refused():
    block = a_block(16, 16)
    fast_mkir.accelerate_blocks(block)
    x = torch.randn(2, 16, 3, 3, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.usefixtures("kernels")
def test_norms_that_no_longer_learn_and_a_single_voxel_are_left_to_pytorch():
    block = a_block(16, 16)
    twin = copy.deepcopy(block)
    fast_mkir.accelerate_blocks(block)
    for each in (block, twin):
        each.depthwise[1][1].eval()
    x = torch.randn(2, 16, 3, 4, 5)
    torch.testing.assert_close(block(x), twin(x))
    assert int(block.depthwise[1][1].num_batches_tracked) == 0
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        block.train()(x[:1, :, :1, :1, :1])
    of_each = a_block(16, 16, "instance")
    twin = copy.deepcopy(of_each)
    fast_mkir.accelerate_blocks(of_each)
    assert torch.equal(of_each(x[:, :, :1, :1, :1]), twin(x[:, :, :1, :1, :1]))


def test_without_a_compiler_nothing_changes(monkeypatch):
    monkeypatch.setattr(fast_mkir, "compiled", lambda _: None)
    assert fast_mkir.accelerate_blocks(a_block(16, 16)) == 0


@pytest.mark.parametrize("block", [MKIR(2, 16, 16), MKIR(3, 1, 16), MKIR(3, 16, 16, kernels=(1, 3)), MKIR(3, 16, 4)])
def test_blocks_that_do_not_fit_are_left_alone(block):
    assert fast_mkir.accelerate_blocks(nn.Sequential(block)) == 0

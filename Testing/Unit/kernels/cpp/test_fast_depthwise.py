"""The faster depthwise gradient is PyTorch's own, and nothing changes where it cannot be used."""

import copy
import warnings

import pytest
import torch
from torch import nn

from medseg.kernels.cpp import fast_depthwise
from medseg.networks import build_network


@pytest.fixture(scope="module")
def compiled():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's build helper talks about compilers
        module = fast_depthwise.compiled("depthwise_gradient")
    if module is None:
        pytest.skip("needs a C++ compiler and ninja")
    return module


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("shape", [(2, 16, 6, 7, 8), (1, 32, 3, 9, 2)])
def test_gradients_are_those_of_pytorch(size, shape):
    torch.manual_seed(0)
    plain = nn.Conv3d(shape[1], shape[1], size, padding=size // 2, groups=shape[1], bias=False).double()
    fast = copy.deepcopy(plain).float()
    assert fast_depthwise.accelerate(fast) == 1
    x, cotangent = torch.randn(shape).double().requires_grad_(), torch.randn(shape).double()
    y = x.detach().float().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    (plain(x) * cotangent).sum().backward()
    (fast(y) * cotangent.float()).sum().backward()
    for mine, theirs in ((y.grad, x.grad), (fast.weight.grad, plain.weight.grad)):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("compiled")
def test_a_network_keeps_its_names_its_answers_and_its_copies():
    network = build_network("ultralight_unet", label_count=2)
    twin = copy.deepcopy(network)
    assert fast_depthwise.accelerate(network) > 10
    assert network.state_dict().keys() == twin.state_dict().keys()
    x = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(copy.deepcopy(network).eval()(x), twin.eval()(x))


@pytest.mark.usefixtures("compiled")
def test_a_second_derivative_is_refused():
    layer = nn.Conv3d(16, 16, 3, padding=1, groups=16, bias=False)
    fast_depthwise.accelerate(layer)
    x = torch.randn(1, 16, 3, 3, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_without_a_compiler_nothing_changes(monkeypatch):
    monkeypatch.setattr(fast_depthwise, "compiled", lambda _: None)
    network = build_network("ultralight_unet", label_count=2)
    assert fast_depthwise.accelerate(network) == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(16, 16, 3, padding=1, groups=16),  # a bias
        nn.Conv3d(16, 16, 3, padding=1, bias=False),  # not depthwise
        nn.Conv3d(8, 8, 3, padding=1, groups=8, bias=False),  # too few channels
        nn.Conv3d(16, 16, 3, padding=3, dilation=3, groups=16, bias=False),
        nn.Conv3d(16, 16, (1, 3, 3), padding=(0, 1, 1), groups=16, bias=False),
    ],
    ids=str,
)
def test_layers_that_do_not_fit_are_left_alone(layer):
    assert fast_depthwise.accelerate(nn.Sequential(layer)) == 0

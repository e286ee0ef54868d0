"""Dilated depthwise convolution by sub-grids, against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from medseg.networks.ops.dilated_depthwise import dilated_depthwise


@pytest.mark.parametrize(
    ("sizes", "kernel", "dilation"),
    [
        ((9, 12, 6), (7, 7, 7), 3),
        ((4, 5, 7), (7, 7, 7), 3),
        ((1, 2, 11), (3, 5, 1), (1, 2, 4)),
        ((8, 8, 8), (3, 3, 3), 1),
        ((10, 13), (7, 7), 3),
        ((5, 4), (5, 3), (2, 3)),
    ],
)
def test_it_is_the_dilated_convolution_with_its_gradients(sizes, kernel, dilation):
    x = torch.randn(2, 3, *sizes, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, *kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    leaves = (x, weight, bias)
    steps = (dilation,) * len(sizes) if isinstance(dilation, int) else dilation
    padding = [step * (size // 2) for step, size in zip(steps, kernel, strict=True)]
    convolution = F.conv2d if len(sizes) == 2 else F.conv3d
    expected = convolution(*leaves, padding=padding, dilation=steps, groups=3)
    result = dilated_depthwise(*leaves, dilation=dilation)
    torch.testing.assert_close(result, expected)
    above = torch.randn_like(expected)
    found = torch.autograd.grad(result, leaves, above)
    for value, reference in zip(found, torch.autograd.grad(expected, leaves, above), strict=True):
        torch.testing.assert_close(value, reference)


def test_even_kernels_and_one_axis_are_refused():
    with pytest.raises(ValueError, match=r"odd kernel sizes.*\(4, 3\)"):
        dilated_depthwise(torch.zeros(1, 2, 5, 5), torch.zeros(2, 1, 4, 3), dilation=2)
    with pytest.raises(ValueError, match="got 1 axes"):
        dilated_depthwise(torch.zeros(1, 2, 5), torch.zeros(2, 1, 3), dilation=2)

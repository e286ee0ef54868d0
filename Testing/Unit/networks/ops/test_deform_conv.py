"""Deformable convolution: against ordinary convolution, against grid_sample, and its gradients."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from medseg.networks.ops.deform_conv import DeformConvPack, deform_conv

CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SETTINGS = [
    pytest.param((6,), (3,), {"padding": 1}, id="1D"),
    pytest.param((6, 7), (3, 3), {"padding": 1}, id="2D"),
    pytest.param((6, 7), (5, 1), {"stride": (2, 1), "padding": (2, 0), "dilation": (1, 2)}, id="2D-anisotropic"),
    pytest.param((7, 6), (3, 3), {"padding": 3, "dilation": 3, "groups": 4}, id="2D-depthwise"),
    pytest.param((4, 5, 6), (3, 3, 3), {"padding": 1}, id="3D"),
    pytest.param((5, 4, 6), (1, 3, 2), {"stride": 2, "padding": (0, 1, 2), "groups": 2}, id="3D-strided"),
    pytest.param(
        (4, 4, 5), (3, 2, 3), {"padding": 2, "dilation": 2, "groups": 2, "deformable_groups": 2}, id="3D-groups"
    ),
    pytest.param((4, 4, 5), (2, 2, 2), {"padding": 1, "deformable_groups": 4}, id="3D-deformable-groups"),
]


def make_inputs(sizes, kernel, options, *, scale=1.5, dtype=torch.float64, out_channels=4):
    """x, offset, weight, bias that fit together."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    conv_options = {key: value for key, value in options.items() if key != "deformable_groups"}
    x, bias = normal(2, 4, *sizes), normal(out_channels)
    weight = normal(out_channels, 4 // options.get("groups", 1), *kernel)
    outputs = CONVOLUTION[len(sizes)](x, weight, **conv_options).shape[2:]
    channels = options.get("deformable_groups", 1) * math.prod(kernel) * len(sizes)
    return x, scale * normal(2, channels, *outputs), weight, bias


def by_grid_sample(x, offset, weight, bias, *, stride, padding, dilation, groups, deformable_groups):
    """The definition, tap by tap, with torch's own sampler; one sampled image a tap."""
    axes, kernel, outputs = x.ndim - 2, weight.shape[2:], offset.shape[2:]
    grid = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=x.dtype) for n in outputs], indexing="ij"))
    offset = offset.view(len(x), deformable_groups, -1, axes, *outputs)
    parts = x.chunk(deformable_groups, dim=1)
    result = torch.zeros(len(x), len(weight), *outputs, dtype=x.dtype)
    for number, tap in enumerate(itertools.product(*[range(k) for k in kernel])):
        start = torch.tensor([t * d - p for t, d, p in zip(tap, dilation, padding, strict=True)], dtype=x.dtype)
        regular = grid * torch.tensor(stride, dtype=x.dtype).view(-1, *[1] * axes) + start.view(-1, *[1] * axes)
        sampled = []
        for group, part in enumerate(parts):
            position = (regular + offset[:, group, number]).movedim(1, -1)
            sizes = torch.tensor(part.shape[2:], dtype=x.dtype)
            normalised = 2 * position / (sizes - 1) - 1
            sampled.append(F.grid_sample(part, normalised.flip(-1), align_corners=True, padding_mode="zeros"))
        weights = weight[(..., *tap)].view(*weight.shape[:2], *[1] * axes)
        result = result + CONVOLUTION[axes](torch.cat(sampled, dim=1), weights, groups=groups)
    return result + bias.view(-1, *[1] * axes)


def each_axis(options, axes):
    defaults = {"stride": 1, "padding": 0, "dilation": 1} | options
    spread = {key: (value,) * axes if isinstance(value, int) else value for key, value in defaults.items()}
    return spread | {key: options.get(key, 1) for key in ("groups", "deformable_groups")}


@pytest.mark.parametrize(("sizes", "kernel", "options"), SETTINGS)
def test_without_offsets_it_is_the_ordinary_convolution(sizes, kernel, options):
    x, offset, weight, bias = make_inputs(sizes, kernel, options)
    result = deform_conv(x, torch.zeros_like(offset), weight, bias, **options)
    ordinary = {key: value for key, value in options.items() if key != "deformable_groups"}
    torch.testing.assert_close(result, CONVOLUTION[len(sizes)](x, weight, bias, **ordinary))


@pytest.mark.parametrize(("sizes", "kernel", "options"), SETTINGS[1:])
def test_result_and_gradients_are_those_of_sampling_tap_by_tap(sizes, kernel, options):
    leaves = [value.requires_grad_() for value in make_inputs(sizes, kernel, options)]
    result = deform_conv(*leaves, **options)
    expected = by_grid_sample(*leaves, **each_axis(options, len(sizes)))
    torch.testing.assert_close(result, expected)
    above = torch.randn_like(result)
    found = torch.autograd.grad(result, leaves, above)
    for value, reference in zip(found, torch.autograd.grad(expected, leaves, above), strict=True):
        torch.testing.assert_close(value, reference)


@pytest.mark.parametrize(("sizes", "kernel", "options"), SETTINGS)
def test_gradients_agree_with_finite_differences(sizes, kernel, options):
    leaves = [value.requires_grad_() for value in make_inputs(sizes, kernel, options, out_channels=4)]
    assert torch.autograd.gradcheck(lambda *values: deform_conv(*values, **options), leaves, fast_mode=True)


def test_blocks_of_output_voxels_join_without_a_seam():
    x, offset, weight, bias = make_inputs((9, 11, 13), (3, 3, 3), {"padding": 1}, dtype=torch.float32)
    leaves = [
        value.repeat(1, *repeats).requires_grad_() for value, repeats in ((x, (20, 1, 1, 1)), (offset, (1, 1, 1, 1)))
    ]
    wide = weight.repeat(1, 20, 1, 1, 1)  # 80 channels x 27 taps: several blocks, the last one shorter
    result = deform_conv(*leaves, wide, bias, padding=1)
    options = each_axis({"padding": 1}, 3)
    expected = by_grid_sample(*leaves, wide, bias, **options)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=1e-4)
    found = torch.autograd.grad(result.sum(), leaves)
    for value, reference in zip(found, torch.autograd.grad(expected.sum(), leaves), strict=True):
        torch.testing.assert_close(value, reference, atol=2e-3, rtol=1e-4)


def test_a_tap_moved_by_whole_voxels_reads_that_voxel():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    offset = torch.zeros(1, 2, 3, 4)
    offset[:, 0], offset[:, 1] = 1, -2
    expected = torch.zeros(1, 1, 3, 4)
    expected[..., :2, 2:] = x[..., 1:, :2]
    assert torch.equal(deform_conv(x, offset, torch.ones(1, 1, 1, 1)), expected)


@pytest.mark.parametrize(
    ("move", "share"), [(-1.0, 0.0), (-0.25, 0.75), (2.0, 1.0), (2.25, 0.75), (3.0, 0.0), (1e30, 0.0)]
)
def test_outside_counts_as_zero_and_the_border_fades(move, share):
    x, offset = torch.ones(1, 1, 3), torch.full((1, 1, 3), 1e9)
    offset[..., 0] = move
    result = deform_conv(x, offset, torch.ones(1, 1, 1))
    torch.testing.assert_close(result, torch.tensor([[[share, 0.0, 0.0]]]))


def test_no_gradient_comes_back_from_outside():
    x = torch.ones(1, 1, 3)
    offset = torch.tensor([[[-1.0, 5.0, -0.5]]], requires_grad=True)
    deform_conv(x, offset, torch.ones(1, 1, 1)).sum().backward()
    assert offset.grad.tolist() == [[[0.0, 0.0, 0.0]]]
    offset = torch.tensor([[[-0.5, 0.0, 0.0]]], requires_grad=True)
    deform_conv(x, offset, torch.ones(1, 1, 1)).sum().backward()
    assert offset.grad.tolist() == [[[1.0, 0.0, -1.0]]]  # at an exact voxel the slope is that towards the next one


def test_an_offset_that_is_no_number_shows_in_the_result_and_reads_nothing_foreign():
    offset = torch.zeros(1, 3, 2, 2, 2)
    offset[0, 1, 0, 1, 0] = torch.nan
    result = deform_conv(torch.ones(1, 1, 2, 2, 2), offset, torch.ones(1, 1, 1, 1, 1))
    assert torch.isnan(result).sum() == 1
    assert torch.isnan(result[0, 0, 0, 1, 0])


def test_bfloat16_and_autocast_stay_close_to_float32():
    x, offset, weight, bias = make_inputs((5, 6, 7), (3, 3, 3), {"padding": 1}, dtype=torch.float32)
    exact = deform_conv(x, offset, weight, bias, padding=1)
    half = deform_conv(x.bfloat16(), offset, weight.bfloat16(), bias.bfloat16(), padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        automatic = deform_conv(x, offset, weight.requires_grad_(), bias, padding=1)
    assert half.dtype == automatic.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.15, rtol=0.05)
    torch.testing.assert_close(automatic.float(), exact, atol=0.15, rtol=0.05)
    automatic.float().sum().backward()
    assert weight.grad.dtype == torch.float32


def test_gradients_are_made_only_for_what_asks_for_them():
    x, offset, weight, bias = make_inputs((5, 6), (3, 3), {"padding": 1})
    deform_conv(x, offset, weight.requires_grad_(), bias, padding=1).sum().backward()
    assert weight.grad is not None
    assert x.grad is offset.grad is bias.grad is None


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 4, 5, 5), (1, 17, 5, 5), (4, 4, 3, 3)), {"padding": 1}, r"offset.*\(1, 18, 5, 5\).*\(1, 17, 5, 5\)"),
        (((1, 4, 5, 5), (1, 18, 3, 3), (4, 4, 3, 3)), {"padding": 1}, r"offset.*\(1, 18, 5, 5\).*\(1, 18, 3, 3\)"),
        (((1, 4, 5, 5), (1, 18, 5, 5), (4, 2, 3, 3)), {"padding": 1}, "Expected 2 channels"),
        (((1, 4, 5, 5), (1, 18, 5, 5), (4, 4, 3)), {"padding": 1}, "4 axes"),
        (((1, 4, 5, 5), (1, 18, 5, 5), (4, 4, 3, 3)), {"padding": (1, 1, 1)}, "padding"),
        (((1, 4, 1, 1), (1, 18, 0, 0), (4, 4, 3, 3)), {}, "empty"),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(shapes, options, message):
    x, offset, weight = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        deform_conv(x, offset, weight, **options)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_pack_starts_as_an_ordinary_convolution(axes):
    pack = DeformConvPack(axes, 4, 6, 3, stride=2, padding=2, dilation=2, groups=2)
    x = torch.randn(2, 4, *(7, 6, 5)[:axes])
    expected = CONVOLUTION[axes](x, pack.weight, pack.bias, stride=2, padding=2, dilation=2, groups=2)
    torch.testing.assert_close(pack(x), expected)


def test_the_pack_learns_offsets():
    pack = DeformConvPack(2, 4, 4, 3, padding=1, bias=False)
    pack(torch.randn(1, 4, 6, 6)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in pack.parameters())
    assert set(pack.state_dict()) == {"weight", "offset.weight", "offset.bias"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("sizes", "kernel", "options"), SETTINGS)
def test_a_gpu_gives_what_the_cpu_gives(sizes, kernel, options):
    leaves = [value.requires_grad_() for value in make_inputs(sizes, kernel, options)]
    there = [value.detach().cuda().requires_grad_() for value in leaves]
    result, remote = deform_conv(*leaves, **options), deform_conv(*there, **options)
    torch.testing.assert_close(remote.cpu(), result)
    result.square().sum().backward()
    remote.square().sum().backward()
    for here, away in zip(leaves, there, strict=True):
        torch.testing.assert_close(away.grad.cpu(), here.grad)

"""MKIR blocks that train two to three times faster on a CPU; equal to PyTorch's to float accuracy.

One autograd function walks through the block with as few passes over memory as can be; the passes are compiled
(``mkir_kernel.cpp``), the 1x1x1 convolutions are matrix products, and what joins them is written here, in float64 and
a few numbers per channel. Without a compiler all stays as it is.
"""

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medseg.kernels.cpp.compiled import compiled
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.norms import InstanceNorm

LANES = 16  # channels the kernels take at a time


@dataclass(frozen=True, eq=False)
class _Norm:
    """Normalisation of one step: ``y = scale * x + shift``; all ``(C,)`` float64."""

    mean: Tensor
    inverse: Tensor  # of the standard deviation
    scale: Tensor
    shift: Tensor

    def back(self, sums: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The gradient for x is ``scale * g + slope * x + level``, for sums ``(2, C)`` of g and of g (x - mean)."""
        slope = -self.scale * self.inverse**2 * sums[1] / count
        level = -self.scale * sums[0] / count - slope * self.mean
        return self.scale, slope, level

    def through(self, sums: Tensor, grad: Tensor, x: Tensor) -> Tensor:
        """The gradient for x ``(rows, C)``, of the gradient for y."""
        by, slope, level = (each.float() for each in self.back(sums, len(x)))
        return torch.addcmul(torch.addcmul(level, x, slope), grad, by)


def _normalise(norm: Any, moments: Tensor, count: int) -> _Norm:
    """What normalisation by these moments is; the running statistics follow where there are any."""
    mean, variance = moments
    if norm.track_running_stats:
        norm.running_mean.lerp_(mean.float(), norm.momentum)
        norm.running_var.lerp_((variance * count / (count - 1)).float(), norm.momentum)
        norm.num_batches_tracked += 1
    inverse = (variance + norm.eps).rsqrt()
    scale = norm.weight.detach().double() * inverse
    return _Norm(mean, inverse, scale, norm.bias.detach().double() - scale * mean)


class _Block(torch.autograd.Function):
    """An MKIR block in training. Feature maps are ``(B * I * J * K, C)``, or ``(B, I, J, K, C)`` where space matters.

    The parameters are arguments so that they get gradients: five convolutions, five scales and five shifts of the
    normalisations (expand, 1, 3, 5, project), and the shortcut's convolution if there is one.
    """

    @staticmethod
    def forward(ctx: Any, block: MKIR, x: Tensor, *parameters: Tensor) -> Tensor:
        kernel, norms = _kernel("mkir_kernel"), _norms(block)
        expand, one, three, five, project, *shortcut = _flat_weights(parameters)
        last = x.permute(0, 2, 3, 4, 1).contiguous()
        flat, count = last.flatten(0, 3), last.shape[:4].numel()
        before = flat @ expand.t()
        first = _normalise(norms[0], kernel.moments(before), count)
        wide, moments = kernel.affine_relu6(before, first.scale.float(), first.shift.float())
        by_three, by_five, *others = kernel.depthwise(_box(wide, last.shape), _taps(three), _taps(five))
        factor = one.flatten().double()  # the 1x1x1 depthwise convolution is one factor per channel
        seen = [torch.stack([moments[0] * factor, moments[1] * factor**2]), *others]
        branch = [_normalise(norm, each, count) for norm, each in zip(norms[1:4], seen, strict=True)]
        scale = torch.stack([branch[0].scale * factor, branch[1].scale, branch[2].scale]).float()
        shift = torch.stack([each.shift for each in branch]).float()
        branches = [wide, by_three.flatten(0, 3), by_five.flatten(0, 3)]
        narrow = kernel.branch_sum(branches, scale, shift) @ _unshuffled(project, block).t()
        end = _normalise(norms[4], kernel.moments(narrow), count)
        result = torch.addcmul(end.shift.float(), narrow, end.scale.float())
        result = result.addmm_(flat, shortcut[0].t()) if shortcut else result.add_(flat)
        ctx.save_for_backward(flat, before, *branches, narrow, scale, shift, moments[0], *parameters)
        ctx.block, ctx.norms, ctx.shape, ctx.eps = block, (first, *branch, end), last.shape, norms[1].eps
        return _box(result, last.shape).permute(0, 4, 1, 2, 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        kernel, of_weight = _kernel("mkir_kernel"), _kernel("depthwise_gradient")
        flat, before, *branches, narrow, scale, shift, wide_mean = ctx.saved_tensors[:9]
        expand, one, three, five, project, *shortcut = _flat_weights(ctx.saved_tensors[9:])
        first, *branch, end = ctx.norms
        count = len(flat)
        grad = grads[0].permute(0, 2, 3, 4, 1).contiguous().flatten(0, 3)
        end_sums = torch.stack([grad.sum(0), (grad * (narrow - end.mean.float())).sum(0)]).double()
        to_narrow = end.through(end_sums, grad, narrow)
        to_project = to_narrow.t() @ kernel.branch_sum(branches, scale, shift)
        to_sum = to_narrow @ _unshuffled(project, ctx.block)

        means = torch.stack([wide_mean, branch[1].mean, branch[2].mean]).float()
        sums = kernel.branch_sums(to_sum, branches, scale, shift, means)
        factor = one.flatten().double()
        # y = gamma w (x - m) / sqrt(w^2 v + eps), so that dy/dw = gamma eps (x - m) / sqrt(w^2 v + eps)^3
        to_one = branch[0].scale * branch[0].inverse ** 2 * ctx.eps * sums[0, 1]
        sums[0, 1] *= factor  # of what the first normalisation sees, after the factor
        terms = [norm.back(each, count) for norm, each in zip(branch, sums, strict=True)]
        terms[0] = (terms[0][0] * factor, terms[0][1] * factor**2, terms[0][2] * factor)
        by, slope, level = (torch.stack(each).float() for each in zip(*terms, strict=True))
        found = kernel.branch_gradients(to_sum, branches, scale, shift, by, slope, level)
        to_wide, to_three, to_five = (_box(each, ctx.shape) for each in found)
        wide = _box(branches[0], ctx.shape)
        reversed_taps = _taps(three.flip(1)), _taps(five.flip(1))
        first_sums = kernel.depthwise_back(to_wide, to_three, to_five, *reversed_taps, wide, before, first.mean.float())
        to_before = first.through(first_sums, to_wide.flatten(0, 3), before)

        to_weights = [
            to_before.t() @ flat,
            to_one.float(),
            of_weight.weight_gradient(wide, to_three, 3).flatten(0, 2).t(),
            of_weight.weight_gradient(wide, to_five, 5).flatten(0, 2).t(),
            to_project[:, _shuffle(ctx.block)],
        ]
        to_x = to_before @ expand
        to_x = to_x.addmm_(grad, shortcut[0]) if shortcut else to_x.add_(grad)
        all_sums = [first_sums, *sums, end_sums]
        to_scales = [(each[1] * norm.inverse).float() for each, norm in zip(all_sums, ctx.norms, strict=True)]
        to_parameters = [*to_weights, *to_scales, *(each[0].float() for each in all_sums)]
        if shortcut:
            to_parameters.append(grad.t() @ flat)
        shapes = [parameter.shape for parameter in ctx.saved_tensors[9:]]
        shaped = [each.reshape(shape) for each, shape in zip(to_parameters, shapes, strict=True)]
        return None, _box(to_x, ctx.shape).permute(0, 4, 1, 2, 3), *shaped


def accelerate_blocks(network: nn.Module) -> int:
    """Give every 3D MKIR block that fits the faster training step; the number of blocks changed.

    It is used in training, in float32 on a CPU; everything else runs as before. Weights and names do not change.
    """
    blocks = [module for module in network.modules() if isinstance(module, MKIR) and _fits(module)]
    if not blocks or compiled("mkir_kernel") is None or compiled("depthwise_gradient") is None:
        return 0
    for block in blocks:
        block.forward = types.MethodType(_forward, block)  # type: ignore[method-assign]
    return len(blocks)


def _fits(block: Any) -> bool:
    expand, project = block.expand[0], block.project[0]
    kernels = [branch[0].kernel_size for branch in block.depthwise]
    return bool(
        isinstance(expand, nn.Conv3d)
        and kernels == [(1,) * 3, (3,) * 3, (5,) * 3]
        and expand.out_channels % LANES == 0
        and project.out_channels % LANES == 0
        and (_of_each_image(block) or all(_learns_statistics(norm) for norm in _norms(block)))
    )


def _of_each_image(block: Any) -> bool:
    return all(isinstance(norm, InstanceNorm) for norm in _norms(block))


def _learns_statistics(norm: Any) -> bool:
    return isinstance(norm, nn.BatchNorm3d) and norm.track_running_stats and norm.affine and norm.momentum is not None


def _forward(block: Any, x: Tensor) -> Tensor:
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    norms = _norms(block)
    images = torch.split(x, 1) if _of_each_image(block) else [x]  # those that are normalised together
    learning = block.training and all(norm.training for norm in norms) and images[0][:, 0].numel() > 1
    if not (learning and plain and torch.is_grad_enabled()):
        return MKIR.forward(block, x)
    convolutions = [block.expand[0], *(branch[0] for branch in block.depthwise), block.project[0]]
    if not isinstance(block.shortcut, nn.Identity):
        convolutions.append(block.shortcut)
    weights = [each.weight for each in convolutions]
    parameters = *weights[:5], *(norm.weight for norm in norms), *(norm.bias for norm in norms), *weights[5:]
    results: list[Tensor] = [_Block.apply(block, each, *parameters) for each in images]  # type: ignore[no-untyped-call]
    return results[0] if len(results) == 1 else torch.cat(results)


def _kernel(name: str) -> Any:
    """A compiled kernel that ``accelerate_blocks`` has found to be there."""
    return compiled(name)


def _norms(block: Any) -> list[Any]:
    return [block.expand[1], *(branch[1] for branch in block.depthwise), block.project[1]]


def _flat_weights(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Weights of the convolutions, ``(out, in)`` or ``(C, taps)``."""
    return [weight.flatten(1) for weight in (*parameters[:5], *parameters[15:])]


def _box(flat: Tensor, shape: torch.Size) -> Tensor:
    return flat.view(*shape[:4], -1)


def _taps(weight: Tensor) -> Tensor:
    """``(C, taps)`` -> ``(taps, C)``."""
    return weight.t().contiguous()


def _shuffle(block: Any) -> Tensor:
    """Where each channel behind the shuffle comes from."""
    width, groups = int(block.project[0].in_channels), int(block.shuffle_groups)
    return torch.arange(width).view(groups, -1).t().flatten()


def _unshuffled(project: Tensor, block: MKIR) -> Tensor:
    """The weights ``(out, in)`` of the last convolution for channels that were not shuffled."""
    return project[:, _shuffle(block).argsort()]

"""Depthwise convolutions of size 1, 3 and 5 over one image in one pass, on Triton's kernels; 2D and 3D."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from medseg.kernels.triton import depthwise_kernels as kernels
from medseg.kernels.triton.launch import Launch, power_of_two

SIZES = (1, 3, 5)
_LONGEST_RUN = 16  # planes a program goes through; it reads four more
_ENTRIES = 256  # voxels times channels of a program's block; with 512, two more sums a thread, registers spill
_LAST_CHANNELS = 32
_MOST_RUNS = 64
_SHORTEST_RUN = 4096

Three = tuple[Tensor, Tensor, Tensor]


class MultiKernelDepthwise(torch.autograd.Function):
    """Results of three depthwise convolutions (B, C, *S), with gradients once at the image and the weights."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, one: Tensor, three: Tensor, five: Tensor) -> Three:
        """Weights are (C, 1, *kernel) of size 1, 3 and 5, of the image's dtype."""
        ctx.save_for_backward(x, one, three, five)
        return convolve(x, (one, three, five))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *above: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients at the image and at the three weights, those that are wanted."""
        x, *weights = ctx.saved_tensors  # type: ignore[attr-defined]
        wanted = ctx.needs_input_grad  # type: ignore[attr-defined]
        by_x = image_gradient(above, x, weights) if wanted[0] else None
        if not any(wanted[1:]):
            return by_x, None, None, None
        return (by_x, *weight_gradients(above, x, weights))


def convolve(x: Tensor, weights: Sequence[Tensor]) -> Three:
    """The three results apart, in the order of the weights (size 1, 3, 5)."""
    results, launch = forward_launch(x, weights)
    launch.run()
    one, three, five = results
    return one, three, five


def filtered(x: Tensor, weights: Sequence[Tensor], factors: Sequence[Tensor], shifts: Sequence[Tensor]) -> Tensor:
    """Sum over the three of ``clamp(factor * convolution + shift, 0, 6)``; factors and shifts are (C,), float32."""
    results, launch = forward_launch(x, weights, torch.cat([*factors, *shifts]))
    launch.run()
    return results[0]


def image_gradient(above: Sequence[Tensor], x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The gradient at the image, given those at the three results."""
    result, launch = image_launch(above, x, weights)
    launch.run()
    return result


def weight_gradients(above: Sequence[Tensor], x: Tensor, weights: Sequence[Tensor]) -> Three:
    """The gradients at the three weights, given those at the three results."""
    parts, launch = weight_launch(above, x)
    launch.run()
    sums = parts.sum(0)  # (lines, 9, C)
    flat = x.ndim == 4
    by_tap = sums if flat else sums.view(5, 5, *sums.shape[1:])
    inner = by_tap[1:4] if flat else by_tap[1:4, 1:4]
    middle = by_tap[2] if flat else by_tap[2, 2]
    found = (middle[..., 8:, :], inner[..., 5:8, :], by_tap[..., :5, :])
    one, three, five = (
        part.movedim(-1, 0).reshape(weight.shape).to(weight.dtype) for part, weight in zip(found, weights, strict=True)
    )
    return one, three, five


def forward_launch(x: Tensor, weights: Sequence[Tensor], affine: Tensor | None = None) -> tuple[list[Tensor], Launch]:
    """Where the results (one with norms, ``affine``, else three) will be, and the launch that puts them there."""
    x = _dense(x, x)
    results = [torch.empty_like(x) for _ in range(1 if affine is not None else 3)]
    arguments = {
        "x_ptr": x,
        "table_ptr": _table(weights),
        "affine_ptr": x if affine is None else affine,
        "one_ptr": results[0],
        "three_ptr": results[0] if affine is not None else results[1],
        "five_ptr": results[-1],
        "FUSED": affine is not None,
        **_common(x),
        **_blocks(x),
    }
    return results, Launch(kernels.depthwise_forward, (_programs(x),), arguments)


def image_launch(above: Sequence[Tensor], x: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Launch]:
    """Where the gradient at the image will be, and the launch that puts it there."""
    x = _dense(x, x)
    one, three, five = (_dense(value, x) for value in above)
    turned = [weight.flip(*range(2, weight.ndim)) for weight in weights]
    result = torch.empty_like(x)
    arguments = {
        "one_ptr": one,
        "three_ptr": three,
        "five_ptr": five,
        "table_ptr": _table(turned),
        "out_ptr": result,
        **_common(x),
        **_blocks(x),
    }
    return result, Launch(kernels.depthwise_backward, (_programs(x),), arguments)


def weight_launch(above: Sequence[Tensor], x: Tensor) -> tuple[Tensor, Launch]:
    """Parts of the weights' gradients, see the kernel, and the launch that fills them."""
    x = _dense(x, x)
    one, three, five = (_dense(value, x) for value in above)
    lines, total = 5 ** (x.ndim - 3), x.shape[0] * math.prod(x.shape[2:])
    rows, wide = _block(x)
    runs = max(1, min(_MOST_RUNS, total // _SHORTEST_RUN))
    length = -(-total // (runs * rows)) * rows
    runs = -(-total // length)
    parts = x.new_empty((runs, lines, 9, x.shape[1]), dtype=torch.float32)
    arguments = {
        "x_ptr": x,
        "one_ptr": one,
        "three_ptr": three,
        "five_ptr": five,
        "parts_ptr": parts,
        "total": total,
        "length": length,
        **_common(x),
        "BLOCK_P": rows,
        "BLOCK_C": wide,
    }
    programs = (runs * lines, -(-x.shape[1] // wide))
    return parts, Launch(kernels.depthwise_weight_gradient, programs, arguments)


def _common(x: Tensor) -> dict[str, object]:
    """Steps through memory and constants all three kernels have; a 2D image is one plane."""
    flat = x.ndim == 4
    steps = (*x.stride()[:2], 0, *x.stride()[2:]) if flat else x.stride()
    names = ("step_sample", "step_channel", "step_plane", "step_row", "step_column")
    size = (1, *x.shape[2:]) if flat else tuple(x.shape[2:])
    return {**dict(zip(names, steps, strict=True)), "SIZE": size, "CHANNELS": x.shape[1], "FLAT": flat}


def _block(x: Tensor) -> tuple[int, int]:
    """Voxels and channels of a program's block: neighbours in memory lie side by side in it."""
    last = x.stride(1) == 1 and x.shape[1] > 1
    wide = min(_LAST_CHANNELS, power_of_two(x.shape[1])) if last else 1
    return min(_ENTRIES // wide, power_of_two(math.prod(x.shape[-2:]))), wide


def _blocks(x: Tensor) -> dict[str, int]:
    rows, wide = _block(x)
    return {"PLANES": _planes(x), "BLOCK_P": rows, "BLOCK_C": wide}


def _planes(x: Tensor) -> int:
    return 1 if x.ndim == 4 else min(_LONGEST_RUN, x.shape[2])


def _programs(x: Tensor) -> int:
    rows, wide = _block(x)
    depth = 1 if x.ndim == 4 else -(-x.shape[2] // _planes(x))
    return x.shape[0] * -(-x.shape[1] // wide) * depth * -(-math.prod(x.shape[-2:]) // rows)


def _table(weights: Sequence[Tensor]) -> Tensor:
    """Weights (C, 1, *kernel) of size 1, 3, 5 as (taps, C): size 5 first, then 3, then 1."""
    return torch.cat([weight.flatten(1) for weight in reversed(weights)], dim=1).t().contiguous()


def _dense(value: Tensor, like: Tensor) -> Tensor:
    """Contiguous, channels last where ``like`` is so: afterwards all images of a shape have the same steps."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}[like.ndim]
    channels_last = like.is_contiguous(memory_format=last) and not like.is_contiguous()
    return value.contiguous(memory_format=last if channels_last else torch.contiguous_format)

"""PyTorch's layers picked by the number of spatial dimensions, so that one block serves 2D and 3D."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

Size: TypeAlias = int | Sequence[int]

CONV: Mapping[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORM: Mapping[int, Callable[..., nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def conv(
    spatial_dims: int, in_channels: int, out_channels: int, kernel: Size = 1, *, groups: int = 1, bias: bool = False
) -> nn.Module:
    """Convolution with stride 1 that keeps the size; ``kernel`` is odd, one number or one per axis."""
    sizes = each_axis(spatial_dims, kernel)
    if any(size % 2 == 0 for size in sizes):
        msg = f"a kernel that keeps the size is odd, got {kernel}"
        raise ValueError(msg)
    padding = [size // 2 for size in sizes]
    return CONV[spatial_dims](in_channels, out_channels, sizes, padding=padding, groups=groups, bias=bias)


def each_axis(spatial_dims: int, size: Size) -> tuple[int, ...]:
    """Write ``size`` once per spatial axis."""
    if spatial_dims not in CONV:
        msg = f"spatial_dims must be 2 or 3, got {spatial_dims}"
        raise ValueError(msg)
    sizes = (size,) * spatial_dims if isinstance(size, int) else tuple(size)
    if len(sizes) != spatial_dims:
        msg = f"expected one number or {spatial_dims}, got {size}"
        raise ValueError(msg)
    return sizes


def max_pool(x: Tensor, factor: Sequence[int]) -> Tensor:
    """Max pooling by ``factor`` per axis; a size that is no multiple keeps its rest as one smaller cell."""
    if all(number == 1 for number in factor):
        return x
    pool = {2: F.max_pool2d, 3: F.max_pool3d}[len(factor)]
    return pool(x, tuple(factor), tuple(factor), ceil_mode=True)


def upsample(x: Tensor, factor: Sequence[int], size: Sequence[int]) -> Tensor:
    """Bilinear (2D) or trilinear (3D) up-sampling by ``factor``, the inverse of ``max_pool`` in size and place.

    Pooling starts its cells at voxel 0 and may end with a smaller one; so the enlarged grid is cut at its end.
    Stretching it to ``size`` instead would shift everything against the skip connections by up to a voxel.
    """
    if any(number != 1 for number in factor):
        mode: Literal["bilinear", "trilinear"] = "bilinear" if len(factor) == 2 else "trilinear"
        x = F.interpolate(x, scale_factor=tuple(float(number) for number in factor), mode=mode, align_corners=False)
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x

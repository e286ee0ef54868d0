"""Run a network over a volume window by window and stitch what it says: a pure function."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.imaging.image import Shape
from medseg.inference.windows import Window, WindowPlan

SIGMA_SHARE = 0.125  # standard deviation of the weights, as a share of the window; nnU-Net's and MONAI's choice
LEAST_WEIGHT = 1e-3  # a corner seen by one window only is still an answer


def ignore_window(done: int, total: int) -> None:
    """Listen to nothing."""
    del done, total


def window_weights(shape: Shape, device: torch.device | None = None) -> Tensor:
    """Trust in a window's voxels: a Gaussian around its centre, never zero.

    Args:
        shape: voxels of the window along i, j, k.
        device: where the weights are made.

    Returns:
        ``(i, j, k)`` float32, ``LEAST_WEIGHT`` to 1.
    """
    weights = torch.ones((), device=device)
    for size in shape:
        offset = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (offset / (SIGMA_SHARE * size)) ** 2)
    return weights.clamp(min=LEAST_WEIGHT)


def nnunet_weights(shape: Shape) -> Tensor:
    """nnU-Net's trust in a window's voxels: a blurred point just behind its middle, in half precision, never zero.

    Args:
        shape: voxels of the window; an axis of one voxel, across a 2D network's slices, has no say.

    Returns:
        of that shape, float32, up to 10.
    """
    from scipy import ndimage  # here, so that a model of another kind does not wait for it

    sides = [size for size in shape if size > 1]
    point = np.zeros(sides)
    point[tuple(size // 2 for size in sides)] = 1
    blurred = ndimage.gaussian_filter(point, [size * SIGMA_SHARE for size in sides], mode="constant")
    half = (blurred / blurred.max() * 10).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return torch.from_numpy(half.astype(np.float32)).reshape(shape)


def plan_weights(plan: WindowPlan, device: torch.device | None = None) -> Tensor:
    """Weights ``(i, j, k)`` of a plan's windows."""
    if plan.equal:
        return torch.ones(plan.window_shape, device=device)
    return nnunet_weights(plan.window_shape).to(device) if plan.as_nnunet else window_weights(plan.window_shape, device)


def predict_volume(
    volume: Tensor,
    network: Callable[[Tensor], Tensor],
    windows: Sequence[Window],
    *,
    label_count: int,
    weights: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    batch: int = 1,
    on_window: Callable[[int, int], None] = ignore_window,
    margin: Shape = (0, 0, 0),
) -> Tensor:
    """Average what a network says about each voxel over the windows that saw it.

    Args:
        volume: ``(C, I, J, K)``, already preprocessed, with the margin on both sides; the sums are kept on its device,
            in float32.
        network: ``(B, C, i, j, k)``, the window with its margin, -> ``(B, L, i, j, k)``, logits of the window.
        windows: boxes of one shape that together see every voxel.
        label_count: L, background included.
        weights: ``(i, j, k)`` of a window's voxels; None: ``window_weights``.
        dtype: of the sums; nnU-Net's are rounded to half precision whenever a window is added.
        batch: windows a forward pass, B.
        on_window: called with (windows done, windows in all) after each pass; whatever it raises stops the work.
        margin: voxels that the network sees beyond a window, on each side along i, j, k.

    Returns:
        ``(L, I, J, K)`` of that type without the margin, the weighted mean of the windows' logits.

    Raises:
        ValueError: when no window is given, a voxel is in none, windows differ in shape, or the network answers
            in another shape.
    """
    shapes = {window.shape for window in windows}
    if len(shapes) != 1:
        msg = f"stitching needs windows of one shape, got {sorted(shapes)}"
        raise ValueError(msg)
    shape = shapes.pop()
    inner = tuple(size - 2 * extra for size, extra in zip(volume.shape[1:], margin, strict=True))
    total = torch.zeros((label_count, *inner), dtype=dtype, device=volume.device)
    seen = torch.zeros(inner, dtype=dtype, device=volume.device)
    weights = window_weights(shape, volume.device) if weights is None else weights
    for window in windows:
        seen[window.slices] += weights
    if not bool((seen > 0).all()):
        msg = f"the windows leave {int((seen == 0).sum())} voxels of a {tuple(seen.shape)} volume unseen"
        raise ValueError(msg)
    for first in range(0, len(windows), batch):
        group = windows[first : first + batch]
        logits = network(torch.stack([volume[(slice(None), *window.widened(margin))] for window in group]))
        if logits.shape != (len(group), label_count, *shape):
            msg = f"the network must answer {(len(group), label_count, *shape)}, got {tuple(logits.shape)}"
            raise ValueError(msg)
        for window, answer in zip(group, logits.to(total.device, torch.float32), strict=True):
            part = total[(slice(None), *window.slices)]
            if dtype == torch.float32:
                part.addcmul_(answer, weights)
            else:
                part.add_(answer * weights)
        on_window(first + len(group), len(windows))
    return total.div_(seen)

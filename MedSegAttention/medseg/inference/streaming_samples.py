"""A few windows of a prepared image that show something: on these engines are compared."""

import torch
from torch import Tensor

from medseg.imaging.preprocess import Prepared
from medseg.inference.predictor import show
from medseg.inference.slicewise import as_slices
from medseg.inference.window_plan import WindowPlan
from medseg.spec.manifest import ModelManifest

_COUNT = 3
_STEP = 4  # voxels: a window is judged by every fourth along each axis


def sample_windows(prepared: Prepared, manifest: ModelManifest) -> Tensor:
    """Choose the windows whose voxels differ most: they hold anatomy, not air.

    Args:
        prepared: the image.
        manifest: the model's window and channels.

    Returns:
        ``(B, C, *S)`` as the model's network takes them, at most 3.
    """
    shown = show(prepared.image.array, manifest, torch.device("cpu"))
    boxes = [window.widened(shown.margin) for window in WindowPlan(shown.shape, manifest.window_shape, 0.0)]
    every = slice(None, None, _STEP)

    def spread(box: tuple[slice, slice, slice]) -> float:
        return float(shown.volume[(slice(None), *box)][:, every, every, every].std(correction=0))

    chosen = sorted(boxes, key=spread, reverse=True)[:_COUNT]
    windows = torch.stack([shown.volume[(slice(None), *box)] for box in chosen])
    return windows if manifest.slices is None else as_slices(windows, manifest.slices)

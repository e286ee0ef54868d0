"""Steps of ours that MONAI has no transform for, in the form its config language can call."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medseg.imaging.body import body_box
from medseg.imaging.image import Image
from medseg.imaging.postprocess import postprocess
from medseg.spec.postprocess import PostprocessRule


def body_mask(image: Any) -> Tensor:
    """Mark the box that holds the patient, as MONAI's ``CropForegroundd`` asks its ``select_fn``.

    Args:
        image: a MONAI ``MetaTensor`` ``(C, I, J, K)``; its ``affine`` is voxel -> RAS mm.

    Returns:
        ``(1, I, J, K)`` bool.
    """
    start, stop = body_box(_as_image(image))
    mask = torch.zeros((1, *image.shape[1:]), dtype=torch.bool)
    mask[(slice(None), *(slice(a, b) for a, b in zip(start, stop, strict=True)))] = True
    return mask


def postprocessor(**rule: Any) -> Callable[[Any], Any]:
    """Wrap a manifest's postprocessing for MONAI's ``Lambdad``.

    Args:
        rule: the fields of ``PostprocessRule``.

    Returns:
        A callable from a ``MetaTensor`` of labels ``(1, I, J, K)`` to another of the same type and grid.
    """

    def process(labels: Any) -> Any:
        whole_numbers = Image(_as_image(labels).array.astype(np.int32), _as_image(labels).affine)
        cleaned = postprocess(whole_numbers, PostprocessRule(**rule)).array
        result = labels.clone()
        result[...] = torch.from_numpy(np.ascontiguousarray(cleaned).astype(np.float32))
        return result

    return process


def painter(*, values: Sequence[int], order: Sequence[int]) -> Callable[[Any], Any]:
    """Paint outputs that may overlap one over the other, for MONAI's ``Lambdad``.

    Args:
        values: of the labels, in the order of the outputs.
        order: in which they are painted.

    Returns:
        A callable from a ``MetaTensor`` of masks ``(L, I, J, K)`` to one of labels ``(1, I, J, K)`` on the same grid.
    """

    def paint(masks: Any) -> Any:
        flat = torch.zeros_like(masks[:1])
        for value in order:
            flat[masks[values.index(value)][None] > 0] = value
        return flat

    return paint


def with_neighbours(volume: Tensor, *, axis: int, context: int) -> Tensor:
    """Give every slice its neighbours as channels: those of the first neighbour, of the next, and so on.

    Args:
        volume: ``(B, C, I, J, K)``.
        axis: slices lie across it, 0 = i, 1 = j, 2 = k.
        context: neighbours on each side; beyond the border the border's slice is repeated.

    Returns:
        ``(B, (2 * context + 1) * C, I, J, K)``.
    """
    count = volume.shape[axis + 2]
    steps = range(-context, context + 1)
    places = [(torch.arange(count) + step).clamp(0, count - 1).to(volume.device) for step in steps]
    return torch.cat([volume.index_select(axis + 2, place) for place in places], dim=1)


def _as_image(tensor: Any) -> Image:
    return Image(np.asarray(tensor.detach().cpu()), np.asarray(tensor.affine.cpu(), dtype=np.float64))

"""Results on the meta device by rules of one line, where PyTorch takes a millisecond of Python for each.

PyTorch carries out many operators on the meta device as a chain of smaller ones, each with its own checks. A count of a
network with a hundred normalisations spent two thirds of its time there. What does not fit a rule, whatever the reason,
is left to PyTorch, which also refuses what cannot be.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

Arguments: TypeAlias = tuple[Any, ...]


def meta_result(operator: str, args: Arguments) -> Any:
    """The result of one operator on tensors of the meta device; None where no rule is known or fits.

    Args:
        operator: of ATen with its overload, such as ``add.Tensor``.
        args: by position, as ATen declares them.

    Example:
        >>> meta_result("relu.default", (torch.empty(2, 3, device="meta"),)).shape
        torch.Size([2, 3])
    """
    rule = _RULES.get(operator)
    if rule is None or not _on_meta(args[0]):
        return None
    return rule(args)


def _on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta" and value.is_floating_point()


def _alike(args: Arguments) -> Tensor:
    return _like(args[0])


def _like(image: Tensor) -> Tensor:
    """A tensor with the strides of another; the first way takes a tenth of the second's time."""
    return image.new_empty(image.shape) if image.is_contiguous() else torch.empty_like(image)


def _itself(args: Arguments) -> Tensor:
    image: Tensor = args[0]
    return image


def _pair(args: Arguments) -> Tensor | None:
    """Two tensors of one type, of which the first has the result's shape, or a tensor and a number."""
    first, second = args[:2]
    if isinstance(second, int | float) or (second.ndim == 0 and not second.is_complex()):
        return _like(first)
    if not _on_meta(second) or first.dtype != second.dtype or not _spreads(second.shape, first.shape):
        return None
    return _like(first)


def _spreads(small: torch.Size, whole: torch.Size) -> bool:
    return len(small) <= len(whole) and all(a in (1, b) for a, b in zip(reversed(small), reversed(whole), strict=False))


def _addmm(args: Arguments) -> Tensor | None:
    bias, left, right = args
    fits = left.ndim == right.ndim == 2 and left.shape[1] == right.shape[0] and bias.shape == right.shape[1:]
    if not fits:
        return None
    product: Tensor = left.new_empty((left.shape[0], right.shape[1]))
    return product


def _batch_norm(args: Arguments) -> tuple[Tensor, Tensor, Tensor] | None:
    image, *parameters = args[:5]
    channels = (image.shape[1],)
    if any(values is not None and values.shape != channels for values in parameters):
        return None
    return _like(image), image.new_empty(channels), image.new_empty(channels)


def _layer_norm(args: Arguments) -> tuple[Tensor, Tensor, Tensor] | None:
    image, normalised, *parameters = args[:4]
    axes = len(normalised)
    shapes = [image.shape[image.ndim - axes :], *[values.shape for values in parameters if values is not None]]
    if any(shape != tuple(normalised) for shape in shapes):
        return None
    kept = (*image.shape[: image.ndim - axes], *[1] * axes)
    return image.new_empty(image.shape), image.new_empty(kept), image.new_empty(kept)


def _upsample(args: Arguments) -> Tensor | None:
    image, size = args[:2]
    if image.ndim != len(size) + 2 or not image.is_contiguous():
        return None
    enlarged: Tensor = image.new_empty((*image.shape[:2], *size))
    return enlarged


_RULES: Mapping[str, Callable[[Arguments], Any]] = {
    **dict.fromkeys([f"{name}.default" for name in ("relu", "gelu", "sigmoid", "leaky_relu", "hardtanh")], _alike),
    **dict.fromkeys([f"{name}_.default" for name in ("relu", "sigmoid", "leaky_relu", "hardtanh")], _itself),
    **dict.fromkeys([f"{name}.Tensor" for name in ("add", "sub", "mul", "div")], _pair),
    **dict.fromkeys(["upsample_bilinear2d.default", "upsample_trilinear3d.default"], _upsample),
    "addmm.default": _addmm,
    "native_batch_norm.default": _batch_norm,
    "native_layer_norm.default": _layer_norm,
}

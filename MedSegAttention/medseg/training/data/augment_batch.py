"""Random changes of a whole batch on the training device: the same ranges as patch by patch, in a few large operations.

What happens to a patch follows from the seed and the patch's number alone, as everything that is random in a run. Two
things differ from :mod:`medseg.training.data.augment`: images are moved by linear interpolation instead of splines (as
nnU-Net's own batch transforms do), and the noise comes from the device.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from monai.networks.layers import AffineTransform, GaussianFilter
from monai.transforms.utils import create_rotate, create_scale, create_shear, create_translate
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medseg.training.data.augment import Ranges, exchange_table

_BATCH_STREAM = 2  # patches draw where they lie from stream 1

_Drawn = TypeVar("_Drawn")
_Draw: TypeAlias = Callable[[np.random.Generator], NDArray[np.float64]]
_Change: TypeAlias = Callable[[Tensor, NDArray[np.float64]], Tensor]  # (n, C, ...) and n draws -> (n, C, ...)


class BatchAugmentation:
    """Changes the patches of a batch, each in its own way."""

    def __init__(self, ranges: Ranges, seed: int = 0) -> None:
        """Remember how far to go, and the seed of the run."""
        self.ranges = ranges
        self.seed = seed

    @torch.no_grad()
    def __call__(self, image: Tensor, labels: Tensor, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Change a batch.

        Args:
            image: ``(B, C, i, j, k)`` or ``(B, C, j, k)`` floats; not changed.
            labels: ``(B, 1, ...)`` whole numbers, of any type; not changed.
            numbers: of the B patches in the run.

        Returns:
            Image and labels on the same device, of the same types.
        """
        ranges, draws = self.ranges, [np.random.default_rng((self.seed, _BATCH_STREAM, number)) for number in numbers]
        image, labels = image.clone(memory_format=torch.contiguous_format), labels.clone()
        for axis in ranges.mirror_axes:
            rows, _ = _chosen(draws, ranges.mirror, lambda _: None)
            for both in (image, labels):
                both[rows] = both[rows].flip(axis + 2)
            if axis == ranges.sides_axis:
                table = exchange_table(ranges.exchange).to(labels.device)
                labels[rows] = table[labels[rows].long()].to(labels.dtype)
        rows, matrices = _chosen(draws, ranges.affine, lambda draw: _matrix(ranges, draw))
        if rows:
            image[rows] = _moved(image[rows], matrices, "bilinear")
            labels[rows] = _moved(labels[rows].to(image), matrices, "nearest").to(labels.dtype)
        for chance, draw_one, change in self._of_brightness():
            rows, drawn = _chosen(draws, chance, draw_one)
            if rows:
                image[rows] = change(image[rows], np.stack(drawn))
        return image, labels

    def _of_brightness(self) -> Sequence[tuple[float, _Draw, _Change]]:
        """Chance, what is drawn for one patch, and what it does to several; in the order of the patchwise recipe."""
        r = self.ranges
        terms = _terms(r.dims, r.bias_degree)
        return (
            (r.noise, lambda draw: np.array([draw.uniform(0, r.noise_std), draw.integers(2**31)]), _add_noise),
            (r.blur, lambda draw: draw.uniform(*r.blur_sigma, size=r.dims), _blur),
            (r.factor, lambda draw: draw.uniform(-r.largest_factor, r.largest_factor, size=1), _multiply),
            (r.offset, lambda draw: draw.uniform(-r.largest_offset, r.largest_offset, size=1), _add),
            (r.low_resolution, lambda draw: draw.uniform(*r.zoom, size=1), _coarsen),
            (r.contrast, lambda draw: draw.uniform(*r.gamma, size=1), _gamma),
            (
                r.bias,
                lambda draw: draw.uniform(*r.bias_coefficient, size=len(terms)),
                partial(_bias_field, terms=terms),
            ),
        )


def _chosen(
    draws: Sequence[np.random.Generator], chance: float, draw_one: Callable[[np.random.Generator], _Drawn]
) -> tuple[list[int], list[_Drawn]]:
    """The patches that are changed, and how."""
    rows, drawn = [], []
    for row, draw in enumerate(draws):
        if draw.random() < chance:
            rows.append(row)
            drawn.append(draw_one(draw))
    return rows, drawn


def _matrix(ranges: Ranges, draw: np.random.Generator) -> NDArray[np.float64]:
    """Where a voxel of the changed patch comes from, in voxels from the centre."""
    dims = ranges.dims
    turned = create_rotate(dims, [draw.uniform(-angle, angle) for angle in ranges.turns])
    sheared = create_shear(dims, draw.uniform(-ranges.shear, ranges.shear, size=dims * (dims - 1)))
    moved = create_translate(dims, draw.uniform(-ranges.translation, ranges.translation, size=dims))
    scaled = create_scale(dims, 1 + draw.uniform(-ranges.scale, ranges.scale, size=dims))
    return np.asarray(turned @ sheared @ moved @ scaled)


def _moved(values: Tensor, matrices: Sequence[NDArray[np.float64]], mode: str) -> Tensor:
    """Zeros come in from outside."""
    centre = [(size - 1) / 2 for size in values.shape[2:]]
    there, back = create_translate(len(centre), centre), create_translate(len(centre), [-half for half in centre])
    theta = torch.from_numpy(np.stack([there @ matrix @ back for matrix in matrices])).to(values)
    result: Tensor = AffineTransform(mode=mode, padding_mode="zeros")(values, theta)
    return result


def _per_patch(drawn: NDArray[np.float64], images: Tensor) -> Tensor:
    """One number for each patch, to be broadcast."""
    return torch.from_numpy(drawn).to(images).view(-1, *[1] * (images.ndim - 1))


def _add_noise(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    noise = torch.empty_like(images)
    for row, (_, seed) in enumerate(drawn):  # a generator for each patch: it must not matter which patches are with it
        noise[row].normal_(generator=torch.Generator(images.device).manual_seed(int(seed)))
    return images + noise * _per_patch(drawn[:, :1], images)


def _blur(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    dims = images.ndim - 2
    blurred = [
        GaussianFilter(dims, sigma.tolist()).to(images)(image[None]) for image, sigma in zip(images, drawn, strict=True)
    ]
    return torch.cat(blurred)


def _multiply(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    return images * (1 + _per_patch(drawn, images))


def _add(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    return images + _per_patch(drawn, images)


def _coarsen(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    """Through fewer voxels and back; each patch through another number of them."""
    size, back = images.shape[2:], "trilinear" if images.ndim == 5 else "bilinear"
    coarse = []
    for image, zoom in zip(images, drawn[:, 0], strict=True):
        fewer = [max(1, round(count * float(zoom))) for count in size]
        coarse.append(F.interpolate(F.interpolate(image[None], fewer, mode="area"), size, mode=back))
    return torch.cat(coarse)


def _gamma(images: Tensor, drawn: NDArray[np.float64]) -> Tensor:
    """Gamma between the darkest and the brightest voxel; mean and standard deviation stay."""
    axes = tuple(range(1, images.ndim))
    low = images.amin(axes, keepdim=True)
    span = images.amax(axes, keepdim=True) - low
    bent = ((images - low) / (span + 1e-7)) ** _per_patch(drawn, images)
    bent = (bent - bent.mean(axes, keepdim=True)) / (bent.std(axes, keepdim=True) + 1e-8)
    return bent * images.std(axes, keepdim=True) + images.mean(axes, keepdim=True)


def _bias_field(images: Tensor, drawn: NDArray[np.float64], *, terms: Sequence[tuple[int, ...]]) -> Tensor:
    """Multiply by the exponential of a smooth polynomial, as the coils of a scanner do."""
    degree = max(max(term) for term in terms)
    coefficients = np.zeros((len(drawn), *[degree + 1] * (images.ndim - 2)))
    for column, term in enumerate(terms):
        place: tuple[Any, ...] = (slice(None), *term)
        coefficients[place] = drawn[:, column]
    field = torch.from_numpy(coefficients).to(images)
    for size in images.shape[2:]:  # one axis after the other: the first axis of coefficients becomes the last of voxels
        values = np.polynomial.legendre.legvander(np.linspace(-1, 1, size), degree)
        field = torch.tensordot(field, torch.from_numpy(values).to(images), dims=([1], [1]))
    return images * field.exp()[:, None]


def _terms(dims: int, degree: int) -> list[tuple[int, ...]]:
    """Products of Legendre polynomials, one along each axis, whose degrees sum to ``degree`` at most."""
    return [index for index in np.ndindex(*[degree + 1] * dims) if sum(index) <= degree]

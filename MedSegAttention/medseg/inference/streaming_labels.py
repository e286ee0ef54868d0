"""From finished sums of logits to labels, on the network's grid or interpolated to another.

A voxel's label is its largest class, or where labels may overlap the bits of all whose probability is high enough.

Two facts make this quick and change no label. The largest of a voxel's logits is the largest of its probabilities, so
neither softmax nor the division by the weights is needed to name it. And where all voxels between which a sample lies
have the same largest class, every mean of them has it too; only elsewhere are probabilities interpolated.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medseg.imaging.axis_samples import AxisSamples
from medseg.spec.labels import OverlapRule

Paint = Callable[[tuple[slice, slice, slice], NDArray[Any]], None]

_SAMPLES_AT_ONCE = 2**15  # of those that are interpolated
_CERTAIN = 1e4  # a logit that leaves the other classes nothing


def largest(scores: Tensor) -> Tensor:
    """Name the class of the largest score, the lowest of equals.

    On a processor ``argmax`` over the first axis takes ten times as long as this: a voxel's label is the number of
    classes in front of the first that equals the largest.

    Args:
        scores: ``(L, ...)`` without NaN.

    Returns:
        ``(...)`` uint8, or int16 with more than 256 classes.
    """
    dtype = torch.uint8 if len(scores) <= 256 else torch.int16
    if scores.device.type != "cpu":
        return scores.argmax(0).to(dtype)
    highest = scores.amax(0)
    labels = torch.zeros(highest.shape, dtype=dtype)
    searching = torch.ones(highest.shape, dtype=torch.uint8)
    differs = torch.empty(highest.shape, dtype=torch.bool)
    for score in scores[:-1]:
        torch.ne(score, highest, out=differs)
        searching &= differs.view(torch.uint8)
        labels += searching
    return labels


def members(probabilities: Tensor, rule: OverlapRule) -> Tensor:
    """Name all outputs that a voxel belongs to.

    Args:
        probabilities: ``(L, ...)``, each of its own.
        rule: how high is enough.

    Returns:
        ``(...)`` uint8, or int32 of more than 8 outputs; bit n is set where output n is high enough.
    """
    bits = torch.zeros(probabilities.shape[1:], dtype=_bits_dtype(len(probabilities)), device=probabilities.device)
    for number, probability in enumerate(probabilities):
        bits |= (probability >= rule.threshold).to(bits.dtype) << number
    return bits


def _bits_dtype(count: int) -> torch.dtype:
    return torch.uint8 if count <= 8 else torch.int32


def _mean_members(sums: Tensor, rule: OverlapRule) -> Tensor:
    """The same of sums ``(L + 1, ...)`` of logits, the last channel the sum of the weights."""
    weights = sums[-1]
    bits = torch.zeros(sums.shape[1:], dtype=_bits_dtype(len(sums) - 1), device=sums.device)
    for number, logits in enumerate(sums[:-1]):  # one at a time: a copy of all would be as large as the sums
        is_in = torch.sigmoid(logits / weights) >= rule.threshold  # no window: 0 / 0, which is not
        bits |= is_in.to(bits.dtype) << number
    return bits


class DirectLabels:
    """Labels on the grid of the sums.

    Args:
        paint: given a box along i, j, k and its labels.
        axes: axes of the pieces, as in ``WindowPlan``.
        overlapping: of labels that may overlap; the sum of the weights is then the last channel.
    """

    def __init__(self, paint: Paint, axes: tuple[int, ...], overlapping: OverlapRule | None = None) -> None:
        self._paint, self._axes, self._overlapping = paint, axes, overlapping

    def take(self, sums: Tensor, first: int, column: int, done: int) -> None:
        """Label a piece ``(L, a, u, v)`` of finished sums, as ``Stitcher`` hands it on."""
        del done
        labels = largest(sums) if self._overlapping is None else _mean_members(sums, self._overlapping)
        _paint(self._paint, self._axes, labels, (first, column, 0))


class ResampledLabels:
    """Labels on another grid of the same axes, by linear interpolation of the probabilities.

    A piece is completed by the last plane and the last column of its neighbours, which are kept for that. Every
    sample belongs to the piece that holds the latter of the voxels between which it lies.

    Args:
        paint: given a box along i, j, k of the other grid and its labels.
        axes: axes of the pieces, as in ``WindowPlan``.
        samples: of the other grid, along i, j, k.
        shape: voxels of the sums along ``axes``.
        depth: most planes of a block.
        label_count: L.
        device: of the sums.
        of_logits: whether logits are interpolated instead.
        in_half: whether these are then rounded to half precision.
        overlapping: of labels that may overlap.
    """

    def __init__(
        self,
        paint: Paint,
        axes: tuple[int, ...],
        samples: tuple[AxisSamples, AxisSamples, AxisSamples],
        *,
        shape: tuple[int, ...],
        depth: int,
        label_count: int,
        device: torch.device,
        of_logits: bool = False,
        in_half: bool = False,
        overlapping: OverlapRule | None = None,
    ) -> None:
        self._paint, self._axes, self._label_count = paint, axes, label_count
        self._of_logits, self._in_half, self._overlapping = of_logits, in_half, overlapping
        self._samples = [samples[axis] for axis in axes]
        self._steps = [not along.is_identity for along in self._samples]  # axes that are resampled
        channels = label_count + 1  # the weights too: probabilities need the mean
        self._plane = torch.zeros(channels, shape[1], shape[2], device=device)  # the last of the planes before
        self._column = torch.zeros(channels, depth, shape[2], device=device)  # the last of the columns before
        self._corner = torch.zeros(channels, shape[2], device=device)  # where both would meet
        self._next_corner = self._corner

    def take(self, sums: Tensor, first: int, column: int, done: int) -> None:
        """Label what a piece ``(L + 1, a, u, v)`` completes; the last channel is the sum of the weights."""
        whole = self._complete(sums, column, done)
        ranges = [
            slice(*np.searchsorted(samples.upper, [start, start + size]).tolist())
            for samples, start, size in zip(self._samples, (first, column, 0), sums.shape[1:], strict=True)
        ]
        if all(part.start < part.stop for part in ranges):
            labels = self._label(whole, ranges, (first - 1, column - 1, 0))
            starts = (ranges[0].start, ranges[1].start, ranges[2].start)
            _paint(self._paint, self._axes, labels, starts)

    def _complete(self, sums: Tensor, column: int, done: int) -> Tensor:
        """Put the plane and the column before a piece in front of it, and keep its own last ones."""
        count, width = sums.shape[1:3]
        if done == 0:  # a new block
            self._corner = self._next_corner
            self._next_corner = self._plane[:, column + width - 1].clone()
        columns = slice(column, column + width)
        planes = slice(done, done + count)
        whole = sums.new_empty(len(sums), count + 1, width + 1, sums.shape[3])
        whole[:, 0, 0], whole[:, 0, 1:], whole[:, 1:, 0] = (
            self._corner,
            self._plane[:, columns],
            self._column[:, planes],
        )
        whole[:, 1:, 1:] = sums
        self._corner = whole[:, -1, 0].clone()
        self._plane[:, columns] = sums[:, -1]
        self._column[:, planes] = sums[:, :, -1]
        return whole

    def _label(self, sums: Tensor, ranges: list[slice], origin: tuple[int, int, int]) -> Tensor:
        """Label the samples in some ranges of the other grid, given all sums around them from ``origin`` on."""
        rule = self._overlapping
        labels = largest(sums[: self._label_count]) if rule is None else _mean_members(sums, rule)
        mixed = self._mixed_cells(labels)
        lower, upper, shares = [], [], []
        for samples, part, start in zip(self._samples, ranges, origin, strict=True):
            lower.append(torch.from_numpy(samples.lower[part] - start).to(labels.device))
            upper.append(torch.from_numpy(samples.upper[part] - start).to(labels.device))
            shares.append(samples.fraction[part])
        found, unsure = labels, mixed
        for axis, before in enumerate(lower):
            if self._steps[axis] or len(before) != found.shape[axis]:
                found, unsure = found.index_select(axis, before), unsure.index_select(axis, before)
        places = unsure.flatten().nonzero().squeeze(1)
        if len(places):
            found = found.contiguous()
            table = _Table(sums, mixed, self._steps, of_logits=self._of_logits, in_half=self._in_half, overlapping=rule)
            for some in torch.split(places, _SAMPLES_AT_ONCE):
                found.view(-1)[some] = table.interpolated(some, found.shape, lower, upper, shares).to(found.dtype)
        return found

    def _mixed_cells(self, labels: Tensor) -> Tensor:
        """Whether the voxels from each one to the next along all axes that are resampled have several labels."""
        low, high = labels, labels
        for axis, is_resampled in enumerate(self._steps):
            if is_resampled:
                low, high = _with_next(low, axis, torch.minimum), _with_next(high, axis, torch.maximum)
        return low != high


class _Table:
    """Probabilities of the voxels that are needed, a row each.

    Args:
        sums: ``(L + 1, a, u, v)``, the last channel the sum of the weights.
        mixed: ``(a, u, v)`` cells whose samples will be asked for.
        steps: whether a cell reaches to the next voxel, along a, u, v.
        of_logits: whether logits are kept in the place of probabilities.
        in_half: whether interpolated scores are rounded to half precision.
        overlapping: of labels that may overlap.
    """

    def __init__(
        self,
        sums: Tensor,
        mixed: Tensor,
        steps: list[bool],
        *,
        of_logits: bool = False,
        in_half: bool = False,
        overlapping: OverlapRule | None = None,
    ) -> None:
        needed = mixed
        for axis, step in enumerate(steps):
            if step:
                needed = needed.clone()
                needed.narrow(axis, 1, needed.shape[axis] - 1).logical_or_(
                    needed.narrow(axis, 0, needed.shape[axis] - 1).clone()
                )
        voxels = needed.flatten().nonzero().squeeze(1)
        chosen = sums.flatten(1)[:, voxels]
        weights = chosen[-1]
        logits = chosen[:-1] / weights.clamp(min=torch.finfo(torch.float32).tiny)
        unseen = weights == 0  # by any window that was run: background
        if overlapping is None:
            logits[0].masked_fill_(unseen, _CERTAIN)
        else:
            logits.masked_fill_(unseen, -_CERTAIN)
        to_probabilities = torch.sigmoid if overlapping is not None else partial(torch.softmax, dim=0)
        probabilities = (logits if of_logits else to_probabilities(logits)).T
        # in double precision, as ITK interpolates; Apple's graphics have none
        self._home = sums.device if sums.device.type in ("cpu", "cuda") else torch.device("cpu")
        self._probabilities = probabilities.to(self._home).double().contiguous()
        self._of_logits, self._in_half, self._overlapping = of_logits, in_half, overlapping
        self._rows = torch.zeros(needed.numel(), dtype=torch.int64, device=sums.device)
        self._rows[voxels] = torch.arange(len(voxels), device=sums.device)
        self._shape = mixed.shape
        self._steps = steps

    def interpolated(
        self, places: Tensor, shape: torch.Size, lower: list[Tensor], upper: list[Tensor], shares: list[Any]
    ) -> Tensor:
        """Give the labels by the interpolated probabilities at flat places of the samples' grid."""
        voxels = places.new_zeros(len(places), 1)
        weights = torch.ones(len(places), 1, dtype=torch.float64, device=self._home)
        rows = places // shape[2]
        along = rows // shape[1], rows % shape[1], places % shape[2]
        for axis, (at, size) in enumerate(zip(along, self._shape, strict=True)):
            ends = [lower[axis][at], upper[axis][at]] if self._steps[axis] else [lower[axis][at]]
            voxels = (voxels[:, :, None] * size + torch.stack(ends, 1)[:, None]).flatten(1)
            if self._steps[axis]:
                share = torch.from_numpy(shares[axis]).to(self._home)[at.to(self._home)]
                weights = (weights[:, :, None] * torch.stack([1 - share, share], 1)[:, None]).flatten(1)
        scores = functional.embedding_bag(
            self._rows[voxels].to(self._home), self._probabilities, per_sample_weights=weights, mode="sum"
        )
        scores = scores.half().float() if self._in_half else scores.float()  # as nnU-Net stores them
        if self._overlapping is not None:
            found = members((torch.sigmoid(scores) if self._of_logits else scores).T, self._overlapping)
            return found.to(places.device)
        return largest(scores.T.contiguous()).to(places.device)


def _with_next(labels: Tensor, axis: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Join each entry with the next along an axis; the last stays alone."""
    count = labels.shape[axis] - 1
    joined = join(labels.narrow(axis, 0, count), labels.narrow(axis, 1, count))
    return torch.cat([joined, labels.narrow(axis, count, 1)], axis)


def _paint(paint: Paint, axes: tuple[int, ...], labels: Tensor, starts: tuple[int, int, int]) -> None:
    """Turn labels (a, u, v) to i, j, k and hand them on."""
    back = [axes.index(axis) for axis in range(3)]
    turned = labels.permute(back)
    i, j, k = (slice(starts[place], starts[place] + size) for place, size in zip(back, turned.shape, strict=True))
    paint((i, j, k), turned.cpu().numpy())

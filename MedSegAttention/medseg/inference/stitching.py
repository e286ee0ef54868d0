"""Sums over windows that pass on what is finished at once: memory for a slab, not for a volume.

Windows come layer by layer along one axis and row by row within a layer. A buffer as wide as a window holds the sums
that a row adds to, beginning with what the layer before left there. Columns that no later row touches are handed on
where no later layer touches them, and are otherwise left for the next layer. Every voxel's sum is added up in the
order of the windows, so that it is the same number as in a sum over the whole volume.
"""

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

from medseg.inference.sliding_window import plan_weights
from medseg.inference.windows import WindowPlan

Take = Callable[[Tensor, int, int, int], None]

PIECE_BYTES = 2**19  # finished sums handed on at a time on a processor: they are still in its cache then


class Stitcher:
    """Adds weighted answers up and hands on what is finished; as nnU-Net does it, where the plan says so.

    nnU-Net keeps its sums in half precision: each is rounded whenever a window is added to it. At the corners of
    windows that changes probabilities by up to a tenth, so that only the same rounding gives the same answer.

    Args:
        plan: of the windows; answers come in its order.
        channels: of an answer.
        device: where the sums are kept, in float32, or in half precision as nnU-Net does it.
        take: given a piece of finished sums ``(C, a, u, v)`` along the plan's axes, all of ``v``, its first voxels
            along a and u, and how many planes of its block came before; a view that holds until the call returns.
            Pieces of a block come with growing a, and blocks in the order of the windows.
        weigh: whether the sum of the weights follows as one more channel.
    """

    def __init__(
        self, plan: WindowPlan, channels: int, device: torch.device, take: Take, *, weigh: bool = False
    ) -> None:
        self._plan, self._take, self._weigh = plan, take, weigh
        self._size = [plan.shape[axis] for axis in plan.axes]
        self._window = [plan.window_shape[axis] for axis in plan.axes]
        self._order = (0, *(axis + 1 for axis in plan.axes))
        weights = plan_weights(plan, device)
        self._weights = weights.permute(plan.axes)
        self._dtype = torch.float16 if plan.as_nnunet else torch.float32
        depth, width, _ = self._window
        count = channels + weigh
        self._row = self._zeros(count, depth, width, device)  # columns lie at their number modulo the width
        self._left = self._zeros(count, plan.carried(), self._size[1], device)
        self._places = product(*(range(len(starts)) for starts in plan.starts))

    def _zeros(self, channels: int, depth: int, width: int, device: torch.device) -> Tensor:
        """Zeros ``(C, a, u, v)`` that lie in memory as (C, i, j, k) do."""
        sizes = dict(zip(self._plan.axes, (depth, width, self._size[2]), strict=True))
        shape = (channels, *(sizes[axis] for axis in range(3)))
        return torch.zeros(shape, dtype=self._dtype, device=device).permute(self._order)

    def add(self, answer: Tensor | None) -> None:
        """Take the next window's answer ``(C, i, j, k)``; None: nothing is known there."""
        layer, row, along = next(self._places)
        if row == along == 0:
            self._begin(layer, 0, self._window[1])
        if answer is not None:
            self._sum_up(answer, self._plan.starts[1][row], self._plan.starts[2][along])
        if along == len(self._plan.starts[2]) - 1:
            self._finish_row(layer, row)

    def _sum_up(self, answer: Tensor, column: int, first: int) -> None:
        """Add a weighted answer to the row."""
        turned = answer.permute(self._order)
        channels = len(turned)
        along = slice(first, first + self._window[2])
        for ring, part in _ring(column, self._window[1], self._window[1]):
            sums, weights = self._row[:, :, ring, along], self._weights[:, part]
            if self._weigh:
                sums[channels].add_(weights)
            if self._dtype == torch.float16:
                self._add_halves(sums[:channels], turned[:, :, part], weights)
                continue
            if answer.stride(-1) == 1 or answer.device.type != "cpu":
                sums[:channels].addcmul_(turned[:, :, part].float(), weights)
                continue
            for plane in range(self._window[0]):  # of an answer laid out channels last
                own = turned[:, plane, part].float().contiguous()
                sums[:channels, plane].addcmul_(own, weights[plane])

    def _add_halves(self, sums: Tensor, answer: Tensor, weights: Tensor) -> None:
        """Add in single precision and round, as torch does it at once: on a processor that takes half the time."""
        if sums.device.type != "cpu":
            sums.add_(answer.float() * weights)
            return
        for channel, own in zip(sums, answer, strict=True):
            channel.copy_(channel.float().add_(own.float() * weights))

    def _begin(self, layer: int, column: int, count: int) -> None:
        """Fill columns of the row with what the layer before left there."""
        starts = self._plan.starts[0]  # the layer before saw the first planes of this one too
        known = max(0, starts[layer - 1] + self._window[0] - starts[layer]) if layer else 0
        for ring, part in _ring(column, count, self._window[1]):
            sums = self._row[:, :, ring]
            sums[:, :known] = self._left[:, :known, column + part.start : column + part.stop]
            sums[:, known:] = 0

    def _finish_row(self, layer: int, row: int) -> None:
        """Part with the columns that no later row of the layer touches, and make place for those that follow.

        Their planes that no later layer touches are handed on; the others are left to the next.
        """
        layers, depth = self._plan.starts[0], self._window[0]
        finished = layers[layer + 1] - layers[layer] if layer + 1 < len(layers) else depth
        starts, size = self._plan.starts[1], self._window[1]
        column = starts[row]
        stop = starts[row + 1] if row + 1 < len(starts) else column + size
        for ring, part in _ring(column, min(size, stop - column), size):
            block, place = self._row[:, :, ring], column + part.start
            at_once = block.shape[1]
            if block.device.type == "cpu":
                at_once = max(
                    1, PIECE_BYTES // (block.element_size() * block.shape[0] * block.shape[2] * block.shape[3])
                )
            for start in range(0, finished, at_once):
                self._take(block[:, start : min(start + at_once, finished)], layers[layer] + start, place, start)
            if finished < depth:
                self._left[:, : depth - finished, place : place + block.shape[2]] = block[:, finished:]
        if row + 1 < len(starts):
            self._begin(layer, column + size, stop - column)


def _ring(first: int, count: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Places of ``count`` columns in a ring, and which of them they are: one part, or two where the ring closes."""
    start = first % size
    before = min(count, size - start)
    yield slice(start, start + before), slice(0, before)
    if before < count:
        yield slice(0, count - before), slice(before, count)

"""Ask a network about every mirror image of its window and average the answers."""

from collections.abc import Callable, Sequence
from itertools import combinations

from torch import Tensor


def mirrored(
    network: Callable[[Tensor], Tensor], axes: Sequence[int], exchange: tuple[int, Sequence[int]] | None = None
) -> Callable[[Tensor], Tensor]:
    """Wrap a network so that it answers with the mean over all flips of the given axes.

    The mean is taken of the logits, window by window: the stitching weights are symmetric, so this equals flipping
    the whole volume on the same windows, at the memory of one pass.

    Args:
        network: ``(B, C, i, j, k)`` -> ``(B, L, i, j, k)``.
        axes: axes to mirror, 0 = i, 1 = j, 2 = k; n axes cost 2**n forward passes, none costs nothing extra.
        exchange: the axis across which left and right lie, and for each output the one of the other side, which a
            mirrored image shows in its place; None: no output has a side.

    Returns:
        A callable of the same shapes.

    Raises:
        ValueError: when an axis is not 0, 1 or 2, or is named twice.
    """
    if not set(axes) <= {0, 1, 2} or len(set(axes)) != len(axes):
        msg = f"mirror axes are out of 0, 1, 2, each at most once, got {list(axes)}"
        raise ValueError(msg)
    flips = [[axis + 2 for axis in flip] for count in range(1, len(axes) + 1) for flip in combinations(axes, count)]

    def averaged(windows: Tensor) -> Tensor:
        total = network(windows)
        if not flips:
            return total
        total = total.float()
        for dims in flips:
            answer = network(windows.flip(dims)).flip(dims)
            if exchange is not None and exchange[0] + 2 in dims:
                answer = answer[:, list(exchange[1])]
            total = total + answer
        return total / (len(flips) + 1)

    return averaged

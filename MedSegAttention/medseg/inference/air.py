"""Windows that hold nothing but air need no network."""

import numpy as np
from numpy.typing import NDArray

from medseg.inference.windows import Window


def is_air(air: NDArray[np.bool_] | None, window: Window, inside: tuple[slice, slice, slice]) -> bool:
    """Whether every voxel of a window is air; what the image was padded with is.

    Args:
        air: ``(i, j, k)`` of the prepared image; None: nobody knows, and no window is air.
        window: of the padded image.
        inside: where the prepared image lies in the padded one.
    """
    if air is None:
        return False
    box = tuple(
        slice(max(0, own.start - part.start), max(0, own.stop - part.start))
        for own, part in zip(window.slices, inside, strict=True)
    )
    return bool(air[box].all())

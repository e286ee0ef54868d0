"""Labels of an image's own grid, filled box by box in the order of a network's axes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image, Shape
from medseg.imaging.steps import Crop, Reorient


class LabelCanvas:
    """Labels on the input's grid that are written through views: nothing is turned or pasted at the end.

    Attributes:
        labels: ``(I, J, K)`` on the input's grid; 0 until painted.
        cropped: the same memory as the cropped image in the model's orientation.
    """

    def __init__(self, reorient: Reorient, crop: Crop, region: Crop | None, dtype: np.dtype[Any]) -> None:
        self.labels: NDArray[Any] = np.zeros(reorient.source_shape, dtype)
        turned = reorient.apply(Image(self.labels[None], reorient.source_affine))
        self.cropped: NDArray[Any] = crop.apply(turned).array[0]
        self._region = region

    def paint(self, box: tuple[slice, slice, slice], labels: NDArray[Any]) -> None:
        """Write a box of the cropped grid, but only inside the region if there is one.

        Args:
            box: where, along i, j, k of the cropped grid.
            labels: ``(i, j, k)``.
        """
        if self._region is None:
            self.cropped[box] = labels
            return
        low = [max(part.start, first) for part, first in zip(box, self._region.start, strict=True)]
        ends: Shape = self._region.shape
        high = [min(part.stop, first + size) for part, first, size in zip(box, self._region.start, ends, strict=True)]
        if all(a < b for a, b in zip(low, high, strict=True)):
            inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            own = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, box, strict=True))
            self.cropped[inside] = labels[own]

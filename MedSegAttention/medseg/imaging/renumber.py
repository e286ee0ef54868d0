"""Other numbers for the same labels."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from medseg.imaging.image import Image


def renumbered(image: Image, table: Mapping[int, int]) -> Image:
    """Exchange the values of a labelmap; those that are not in the table become background.

    Args:
        image: ``(1, I, J, K)`` whole numbers.
        table: value -> new value.
    """
    values, places = np.unique(image.array, return_inverse=True)
    numbers = np.array([table.get(int(value), 0) for value in values], dtype=np.uint32)
    array = numbers[places].reshape(image.array.shape)
    return replace(image, array=array.astype(np.min_scalar_type(int(numbers.max(initial=0)))))

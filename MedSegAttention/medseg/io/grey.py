"""Grey pictures that are stored in colours, as programs that export images like to do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.spec.errors import ImageError

_APART = 8 / 255  # of the brightest value: how far the colours of a grey picture are apart after JPEG has rounded them


def grey_of(colours: NDArray[Any], name: object) -> NDArray[Any]:
    """Take one of several colours that are all the same.

    Args:
        colours: ``(..., C)`` of 1 to 4 numbers a pixel; a second or fourth one is transparency and left out.
        name: of the image, for the message.

    Returns:
        ``(...)``, a view: green where there are three, which JPEG keeps best.

    Raises:
        ImageError: if the colours differ.
    """
    count = colours.shape[-1]
    seen = colours[..., : count - (count in (2, 4))]
    if seen.shape[-1] > 1:
        lowest, highest = (np.asarray(edge(seen, axis=-1)).astype(np.float64) for edge in (np.min, np.max))
        whole = np.iinfo(seen.dtype).max if seen.dtype.kind in "ui" else float(np.abs(highest).max())
        apart = float((highest - lowest).max())
        if apart > np.ceil(_APART * whole):
            rule = f"a pixel is one number, and its colours differ by up to {apart:g}"
            msg = f"{name}: {rule}; convert it to grey and remove coloured marks"
            raise ImageError(msg)
    return seen[..., seen.shape[-1] // 2]

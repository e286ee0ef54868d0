"""Quicker imports: nothing that libraries make while they are imported is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Keep Python from looking for garbage in the meantime, and from looking through what is there now ever again.

    Torch and MONAI make a million objects that stay. To look through them again and again took a seventh of the time of
    importing them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""Draw everything from a generator, for what it returns."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def taken(steps: Generator[object, None, T]) -> T:
    """Take every step."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

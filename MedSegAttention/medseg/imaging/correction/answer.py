"""The learned answer: does this voxel take the stroke's label? A small network evaluated with numpy alone."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights (inputs, outputs), bias (outputs)


@dataclass(frozen=True, eq=False)
class Answer:
    """Linear layers with a rectifier between them; the last has one output, a logit."""

    layers: tuple[Layer, ...]

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logit of "yes" for each row of ``(N, inputs)``, ``(N,)``."""
        values = inputs
        for number, (weights, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weights + bias
        answer: NDArray[np.float32] = values[:, 0]
        return answer

    def save(self, path: Path) -> None:
        """Write the layers as an .npz without pickles."""
        arrays: dict[str, Any] = {
            f"{name}{n}": part for n, layer in enumerate(self.layers) for name, part in zip("wb", layer, strict=True)
        }
        np.savez(path, **arrays)


def read_answer(path: Path) -> Answer:
    """Read what ``save`` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        count = len(stored.files) // 2
        return Answer(
            tuple((stored[f"w{n}"].astype(np.float32), stored[f"b{n}"].astype(np.float32)) for n in range(count))
        )


@cache
def shipped_answer() -> Answer:
    """The weights that come with the package."""
    with resources.as_file(resources.files(__package__) / "answer.npz") as path:
        return read_answer(path)

"""Numbers computed once with the published code of each network, and the synthetic weights they were computed with."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent / "Data" / "networks"
LAYER_SCALES = {"gamma", "layer_scale_1", "layer_scale_2"}
OFFSET_WEIGHTS = ("conv_offset.weight", "offset_net.weight")
OFFSET_BIASES = ("conv_offset.bias", "offset_net.bias")
SHARE_OF_LARGEST = 2e-6  # float32 noise: the least that is allowed, relative to an array's largest value


@dataclass(frozen=True)
class Fixture:
    """One published module run once: its inputs, outputs and intermediate results."""

    name: str
    record: dict
    arrays: dict[str, np.ndarray]

    @property
    def config(self) -> dict:
        return self.record["config"]

    def inputs(self) -> list[Tensor]:
        return [noise(row["shape"], row["seed"]) * row["scale"] for row in self.record["inputs"]]

    def state(self) -> dict[str, Tensor]:
        salt = self.record["salt"]
        return {key: weights(key, shape, dtype, salt) for key, shape, dtype in self.record["state"]}

    def expected(self, array: str) -> Tensor:
        return torch.from_numpy(self.arrays[array])

    def allowed(self, array: str) -> float:
        """The fixture's tolerance for an output; for other arrays the first output's, or float32 noise if larger."""
        tolerances = self.record["suggested_atol"]
        if array.startswith("out"):
            return tolerances[int(array.removeprefix("out"))]
        return max(tolerances[0], SHARE_OF_LARGEST * float(np.abs(self.arrays[array]).max()))

    def difference(self, array: str, found: Tensor) -> float:
        """Largest difference, on the voxels the fixture kept."""
        rows = [*self.record["outputs"], *self.record["activations"].values()]
        stride = next((row["spatial_stride"] for row in rows if row["array"] == array), 1)
        thinned = found[(slice(None), slice(None), *[slice(None, None, stride)] * (found.ndim - 2))[: found.ndim]]
        expected = self.expected(array)
        assert thinned.shape == expected.shape, f"{self.name} {array}: {thinned.shape} instead of {expected.shape}"
        return float((thinned.detach() - expected).abs().max())


def fixture_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_fixture(name: str) -> Fixture:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return Fixture(name, json.loads((FOLDER / f"{name}.json").read_text()), dict(arrays))


def noise(shape: list[int], seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32))


def weights(key: str, shape: list[int], dtype: str, salt: str = "") -> Tensor:
    """Synthetic weights that depend on nothing but the salt, the official name and the shape.

    Layer scales are near 0.5 and offsets reach several voxels, so that every branch shows in the result.
    """
    if "float" not in dtype:
        return torch.zeros(tuple(shape), dtype=torch.int64)
    seed = zlib.crc32((salt + key).encode())
    values = np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32)
    gain, divisor, shift = _distribution(key, shape)
    if key.endswith("running_var"):
        values = np.abs(values)
    return torch.from_numpy(np.asarray(gain * values / divisor + shift, dtype=np.float32).reshape(tuple(shape)))


def _distribution(key: str, shape: list[int]) -> tuple[float, float, float]:
    """Gain, divisor and shift of one entry's normal noise."""
    leaf = key.rsplit(".", 1)[-1]
    table = {"running_mean": (0.1, 1, 0.0), "running_var": (1.0, 1, 0.5), "pos_embed": (0.02, 1, 0.0)}
    if leaf in table:
        return table[leaf]
    if leaf in LAYER_SCALES:
        return 0.1, 1, 0.5
    if key.endswith(OFFSET_BIASES):
        return 1.0, 1, 0.0
    if len(shape) >= 2:
        return (3.0 if key.endswith(OFFSET_WEIGHTS) else 1.0), np.sqrt(np.prod(shape[1:])), 0.0
    return 0.1, 1, 1.0 if leaf == "weight" else 0.0

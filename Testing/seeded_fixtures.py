"""Fixtures of MSLAU-Net and the Medical Transformers, whose weights and inputs are made again from names and seeds.

``differences(fixture, module)`` runs one module and compares its output, its intermediate results and its gradients.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, prod, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Place = str | tuple[str, Callable[[Tensor], Tensor]]  # a submodule, and how its result becomes the published one
FOLDER = Path(__file__).resolve().parent / "Data" / "networks" / "seeded"
GATES = {"f_qr", "f_kr", "f_sve", "f_sv"}
GRADIENT_SEED = 1000
SHARE_OF_LARGEST = 5e-6  # float32 noise that is allowed in a gradient, relative to the array's largest value


@dataclass(frozen=True)
class SeededFixture:
    """One module run once: how to make its weights and input, and what came out."""

    name: str
    record: dict
    arrays: dict[str, np.ndarray]

    @property
    def config(self) -> dict:
        return self.record["config"]

    @property
    def names(self) -> list[str]:
        return [key for key, *_ in self.record["state_dict"]]

    @property
    def allowed(self) -> float:
        return self.record["suggested_atol"]

    def image(self) -> Tensor:
        return noise(self.record["input_shape"], self.record["input_seed"])

    def state(self) -> dict[str, Tensor]:
        seed = self.record["weight_seed"]
        return {key: weights(key, shape, dtype, seed) for key, shape, dtype in self.record["state_dict"]}

    def activations(self) -> list[str]:
        return [row["module"] for row in self.record.get("intermediates") or []]


@dataclass(frozen=True)
class Difference:
    """The largest difference in one array, and the largest one allowed."""

    array: str
    found: float
    allowed: float


def seeded_fixture(name: str) -> SeededFixture:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return SeededFixture(name, json.loads((FOLDER / f"{name}.json").read_text()), dict(arrays))


def seeded_names(*starts: str) -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json") if path.stem.startswith(starts))


def differences(
    fixture: SeededFixture, module: nn.Module, activations: Mapping[str, Place], parameters: Mapping[str, str]
) -> Iterator[Difference]:
    """Compares one run in evaluation.

    Args:
        fixture: what is expected.
        module: takes and returns what the published module does; its weights are loaded.
        activations: published module -> the submodule that computes the same; all of the fixture's are needed.
        parameters: name of a parameter in ``module`` -> published name, for the gradients.
    """
    seen: dict[str, Tensor] = {}
    for name in fixture.activations():
        place = activations[name]
        path, read = (place, torch.detach) if isinstance(place, str) else place
        module.get_submodule(path).register_forward_hook(_first_result(seen, name, read))
    image = fixture.image().requires_grad_()
    result = module.eval()(image)
    assert list(result.shape) == fixture.record["output"]["shape"]
    yield Difference("output", thinned_difference(result, fixture.arrays["output"]), fixture.allowed)
    statistics = fixture.arrays["output_stats"]
    yield Difference("output_stats", float(np.abs(_statistics(result) - statistics).max()), fixture.allowed)
    for name in fixture.activations():
        expected = fixture.arrays[f"act:{name}"]
        floor = SHARE_OF_LARGEST * float(np.abs(expected).max())
        yield Difference(f"act:{name}", thinned_difference(seen[name], expected), max(fixture.allowed, floor))
    if fixture.record["gradients"]:
        yield from _gradients(fixture, module, image, result, parameters)


def _first_result(seen: dict[str, Tensor], name: str, read: Callable[[Tensor], Tensor]) -> Callable[..., None]:
    def hook(_: nn.Module, __: tuple, output: Tensor) -> None:
        if name not in seen:
            seen[name] = read(output).detach()

    return hook


def _gradients(
    fixture: SeededFixture, module: nn.Module, image: Tensor, result: Tensor, parameters: Mapping[str, str]
) -> Iterator[Difference]:
    for value in module.parameters():
        value.requires_grad_()
    (module(image) * noise(result.shape, GRADIENT_SEED)).sum().backward()
    expected = fixture.arrays["grad_input"]
    floor = SHARE_OF_LARGEST * float(np.abs(expected).max())
    yield Difference("grad_input", thinned_difference(image.grad, expected), max(fixture.allowed, floor))
    lengths = fixture.record["gradients"]["parameter_grad_l2"]
    found = {parameters[key]: float(value.grad.norm()) for key, value in module.named_parameters()}
    assert set(found) == set(lengths)
    for key, length in lengths.items():
        yield Difference(f"|grad {key}|", abs(found[key] - length), max(fixture.allowed, SHARE_OF_LARGEST * length))


def thinned_difference(found: Tensor, expected: np.ndarray) -> float:
    """Largest difference to an array that holds every n-th number; n follows from the sizes."""
    flat = found.detach().reshape(-1)
    stride = -(-flat.numel() // expected.size)
    thinned = flat[::stride].numpy()
    assert thinned.size == expected.size, f"{thinned.size} numbers instead of {expected.size}"
    return float(np.abs(thinned - expected.reshape(-1)).max())


def _statistics(found: Tensor) -> np.ndarray:
    values = found.detach().double().numpy()
    return np.array([values.mean(), values.std(), values.min(), values.max(), np.abs(values).mean()])


def noise(shape: Sequence[int], seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32))


def weights(key: str, shape: Sequence[int], dtype: str, seed: int) -> Tensor:
    """One entry of a published state dict; nothing but its name, its shape and the seed decides.

    The relative-position index is what it must be, counts are 0, everything else is normal noise of a fitting size.
    """
    size, leaf = tuple(shape), key.rsplit(".", 1)[-1]
    if leaf == "flatten_index":
        length = isqrt(prod(size))
        places = torch.arange(length)
        return (places[:, None] - places[None] + length - 1).reshape(size)
    if "float" not in dtype:
        return torch.zeros(size, dtype=torch.int64)
    generator = np.random.default_rng(zlib.crc32((f"{seed}/{key}" if seed else key).encode()))
    values = np.asarray(generator.standard_normal(size), dtype=np.float32)
    if leaf == "running_var" or leaf in GATES:
        values = np.abs(values)
    gain, divisor, shift = _distribution(leaf, size)
    return torch.from_numpy(np.asarray(gain * values / divisor + shift, dtype=np.float32))


def _distribution(leaf: str, size: tuple[int, ...]) -> tuple[float, float, float]:
    """Gain, divisor and shift of the noise."""
    table = {
        "running_mean": (0.1, 1, 0),
        "running_var": (1, 1, 0.5),
        "scale_weights": (0.25, 1, 1),
        "bias": (0.1, 1, 0),
    }
    table |= dict.fromkeys(GATES, (1, 1, 0.5))
    if leaf in table:
        return table[leaf]
    if leaf == "relative":
        return 1, sqrt(size[0] / 2), 0
    if leaf == "weight" and len(size) == 1:
        return 0.1, 1, 1
    return 1, sqrt(prod(size[1:])) if len(size) > 1 else 1, 0

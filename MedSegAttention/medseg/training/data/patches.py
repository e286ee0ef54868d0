"""Patches out of cases. Which patch, and how it is changed, follows from the seed and its number alone.

Nothing is drawn from a generator that runs on: a killed run goes on with the same patches, however many processes
prepare them.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from medseg.spec.manifest import IntTriple, SliceRule
from medseg.training.data.cases import Case


class Patches(Dataset[dict[str, torch.Tensor]]):
    """Patch number n of a run that never ends: every pass over the cases has an order of its own."""

    def __init__(
        self,
        cases: Sequence[Case],
        change: Compose | None,
        shape: IntTriple,
        *,
        slices: SliceRule | None = None,
        foreground: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Remember what patches are made of.

        Args:
            cases: at least one.
            change: random changes of a patch, see ``training.data.augment``; None: they come later.
            shape: voxels of a patch.
            slices: of a 2D network, which sees the neighbours of a slice as channels.
            foreground: part of the patches with a labelled voxel at their centre.
            seed: of the run.
        """
        self.cases = cases
        self.change = change
        self.shape = shape
        self.slices = slices
        self.foreground = foreground
        self.seed = seed

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """One patch: ``image`` (C, i, j, k), ``labels`` (1, i, j, k), ``known`` (L,), ``number`` (); 2D from slices."""
        count = len(self.cases)
        case = self.cases[_order(self.seed, number // count, count)[number % count]]
        random = np.random.default_rng((self.seed, 1, number))
        image, labels = cut_patch(case, self.shape, random, slices=self.slices, foreground=self.foreground)
        details = {"known": torch.from_numpy(case.known), "number": torch.tensor(number)}
        if self.change is None:
            return {"image": torch.from_numpy(image), "labels": torch.from_numpy(labels), **details}
        self.change.set_random_state(int(random.integers(2**31)))
        patch: dict[str, torch.Tensor] = self.change({"image": image, "labels": labels})
        return {**patch, **details}


class Steps(Sampler[list[int]]):
    """Numbers of the patches of each step; of several processes, each has its own part of a step."""

    def __init__(self, first: int, last: int, batch: int, *, rank: int = 0, world: int = 1) -> None:
        self.first = first
        self.last = last
        self.batch = batch
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        """Steps left."""
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        """Walk over the steps."""
        for step in range(self.first, self.last):
            start = (step * self.world + self.rank) * self.batch
            yield list(range(start, start + self.batch))


def cut_patch(
    case: Case,
    shape: IntTriple,
    random: np.random.Generator,
    *,
    slices: SliceRule | None = None,
    foreground: float = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a patch at a random place.

    Volumes smaller than the patch are padded with 0 on both sides, as at inference.

    Args:
        case: where from.
        shape: voxels of the patch; 1 across slices.
        random: where.
        slices: how a 2D network reads a volume.
        foreground: how likely the centre is a labelled voxel; every label of the case is as likely as every other.

    Returns:
        ``(C, i, j, k)`` and ``(1, i, j, k)``; where slices are read ``((2 * context + 1) * C, h, w)``, channels of one
        slice after those of the one before, and ``(1, h, w)``.
    """
    starts = _starts(case, shape, random, foreground)
    context = 0 if slices is None else slices.context
    axis = 0 if slices is None else slices.axis
    reach = [context if n == axis else 0 for n in range(3)]
    wider = [size + 2 * more for size, more in zip(shape, reach, strict=True)]
    image = _cut(case.image, [s - r for s, r in zip(starts, reach, strict=True)], wider, axis, context)
    labels = _cut(case.labels, starts, shape, axis, 0)
    if slices is None:
        return image, labels
    flat = np.moveaxis(image, axis + 1, 0)
    return np.ascontiguousarray(flat.reshape(-1, *flat.shape[2:])), np.ascontiguousarray(labels.squeeze(axis + 1))


def _starts(case: Case, shape: IntTriple, random: np.random.Generator, foreground: float) -> list[int]:
    sizes = case.image.shape[1:]
    slack = [size - wanted for size, wanted in zip(sizes, shape, strict=True)]
    if case.places and random.random() < foreground:
        voxels = case.places[sorted(case.places)[random.integers(len(case.places))]]
        centre = voxels[random.integers(len(voxels))]
        aimed = [int(c) - wanted // 2 for c, wanted in zip(centre, shape, strict=True)]
    else:
        aimed = [int(random.integers(room + 1)) if room > 0 else 0 for room in slack]
    return [min(max(0, start), room) if room >= 0 else -(-room // 2) for start, room in zip(aimed, slack, strict=True)]


def _cut(array: NDArray[Any], starts: Sequence[int], shape: Sequence[int], axis: int, context: int) -> NDArray[Any]:
    """A box that may reach beyond the array: 0 there, but across slices the last one is repeated."""
    result = np.zeros((len(array), *shape), dtype=array.dtype)
    inside, outside = [slice(None)], [slice(None)]
    for n, (start, count, size) in enumerate(zip(starts, shape, array.shape[1:], strict=True)):
        first, last = max(0, start), min(size, start + count)
        inside.append(slice(first, last))
        outside.append(slice(first - start, last - start))
        if context and n == axis:
            missing_before, missing_after = first - start, start + count - last
    result[tuple(outside)] = array[tuple(inside)]
    if context:
        moved = np.moveaxis(result, axis + 1, 0)
        moved[:missing_before] = moved[missing_before]
        moved[len(moved) - missing_after :] = moved[len(moved) - missing_after - 1]
    return result


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, count: int) -> list[int]:
    """The order of the cases in one pass."""
    order: list[int] = np.random.default_rng((seed, 0, turn)).permutation(count).tolist()
    return order

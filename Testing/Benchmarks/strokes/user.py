"""The simulated user: after each answer a click, or a stroke, into the largest error, with its true label."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.spec.stroke import Stroke
from strokes.cases import Case

_NEIGHBOURS = np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])


class Follows(Protocol):
    """Anything that a stroke can be given to."""

    grid: Grid

    def apply(self, stroke: Stroke, value: int) -> object: ...


@dataclass(frozen=True, eq=False)
class Error:
    """The largest connected part of what is wrong."""

    mask: NDArray[np.bool_]
    centre: tuple[int, int, int]  # its innermost voxel
    value: int  # its true label


def largest_error(labels: NDArray[np.uint8], truth: NDArray[np.uint8], spacing: tuple[float, ...]) -> Error | None:
    """Over all labels, parts divided by their true label; None where everything is right."""
    wrong, best = labels != truth, None
    for value in np.unique(truth[wrong]):
        parts, _ = ndimage.label(wrong & (truth == value))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if best is None or sizes.max() > best[0]:
            best = (sizes.max(), parts == sizes.argmax(), int(value))
    if best is None:
        return None
    _, mask, value = best
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    i, j, k = (int(a + part.start) for a, part in zip(np.unravel_index(depth.argmax(), depth.shape), box, strict=True))
    return Error(mask, (i, j, k), value)


@dataclass
class User:
    """Remembers what it clicked: a voxel that was once given a label beside a click keeps it.

    Attributes:
        way: "click": the voxel and its six neighbours; or a straight stroke within a plane of the grid.
        jitter: voxels by which it misses the innermost voxel along each axis, still within the error.
        seed: of the jitter.
    """

    way: Literal["click", "i", "j", "k"] = "click"
    jitter: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._given: dict[tuple[int, ...], int] = {}

    def stroke(self, error: Error, case: Case) -> Stroke:
        """The next stroke."""
        centre = np.array(error.centre)
        if self.jitter:
            miss = self._random.integers(-self.jitter, self.jitter + 1, 3)
            moved = np.clip(centre + miss, 0, np.array(error.mask.shape) - 1)
            centre = moved if error.mask[tuple(moved)] else centre
        voxels = centre + _NEIGHBOURS if self.way == "click" else self._line(error, centre)
        voxels = voxels[((voxels >= 0) & (voxels < error.mask.shape)).all(axis=1)]
        kept = [each for each in voxels.tolist() if self._may_have(each, centre, error.value)]
        self._given |= {tuple(each): error.value for each in kept}
        places = np.array(kept) @ case.affine[:3, :3].T + case.affine[:3, 3]
        points = tuple((float(x), float(y), float(z)) for x, y, z in places)
        return Stroke(label=f"label {error.value}", points=points, reach_mm=case.reach)

    def _may_have(self, voxel: list[int], centre: NDArray[np.int64], value: int) -> bool:
        return voxel == centre.tolist() or self._given.get(tuple(voxel), value) == value

    def _line(self, error: Error, centre: NDArray[np.int64]) -> NDArray[np.int64]:
        """The longest of four lines through the centre in the plane across one axis, as far as the error goes."""
        first, second = (axis for axis in range(3) if axis != "ijk".index(self.way))
        lines = []
        for a, b in ((1, 0), (0, 1), (1, 1), (1, -1)):
            step = np.zeros(3, np.int64)
            step[first], step[second] = a, b
            lines.append(np.concatenate([self._ray(error, centre, step), self._ray(error, centre, -step)[1:]]))
        return max(lines, key=len)

    def _ray(self, error: Error, centre: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        found = [centre]
        for length in range(1, 6):
            place = centre + length * step
            if (place < 0).any() or (place >= error.mask.shape).any() or not error.mask[tuple(place)]:
                break
            found.append(place)
        return np.array(found)


def grid_of(case: Case, *, image: bool = True) -> Grid:
    """The start of a case, its arrays copied."""
    return Grid(
        labels=case.probabilities.argmax(axis=0).astype(np.uint8),
        affine=case.affine,
        image=case.image if image else None,
        probabilities=None if case.plain else case.probabilities.copy(),
    )


@dataclass(frozen=True)
class Played:
    """Mean Dice of the labels before and after each stroke, and what the strokes cost."""

    dice: tuple[float, ...]
    seconds: tuple[float, ...]
    beyond: int  # voxels changed further from the stroke than its reach


def play(
    case: Case, make: Callable[[Grid], Follows] = Corrector, *, user: User | None = None, strokes: int = 10
) -> Played:
    """Let the user correct a case."""
    user = User() if user is None else user
    follower = make(grid_of(case))
    labels = follower.grid.labels
    dice, seconds, beyond = [mean_dice(labels, case.truth)], [], 0
    for _ in range(strokes):
        error = largest_error(labels, case.truth, case.spacing)
        if error is None:
            dice.append(dice[-1])
            continue
        stroke, before = user.stroke(error, case), labels.copy()
        begun = time.process_time()
        follower.apply(stroke, error.value)
        seconds.append(time.process_time() - begun)
        beyond += _beyond(before != labels, stroke, case)
        dice.append(mean_dice(labels, case.truth))
    return Played(tuple(dice), tuple(seconds), beyond)


def _beyond(changed: NDArray[np.bool_], stroke: Stroke, case: Case) -> int:
    places = np.argwhere(changed) @ case.affine[:3, :3].T + case.affine[:3, 3]
    nearest = np.full(len(places), np.inf)
    for point in stroke.points:
        nearest = np.minimum(nearest, np.linalg.norm(places - point, axis=1))
    return int((nearest > stroke.reach_mm * 1.001).sum())


def mean_dice(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Over the labels of the truth."""
    values = range(1, int(truth.max()) + 1)
    both = [(labels == value, truth == value) for value in values]
    return float(np.mean([2 * (a & b).sum() / max(a.sum() + b.sum(), 1) for a, b in both]))

"""What else could follow a stroke: a painted ball, Grow from seeds, and a random walker."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from medseg.imaging.correction.question import Grid
from medseg.imaging.correction.stroke_box import paint, stroke_box
from medseg.spec.stroke import Stroke

BOX_MM = 12.0  # half the width of the box in which seeds compete
NEAR_MM = 1.5  # what a stroke marks around its voxels, in the two methods of seeds


@dataclass
class Baseline:
    """Strokes so far keep their voxels, as with the corrector; balls and boxes are those of the click's middle."""

    grid: Grid
    given: dict[tuple[int, ...], int] = field(default_factory=dict)

    def apply(self, stroke: Stroke, value: int) -> None:
        """Give the stroke's voxels its label, and let the method decide around them."""
        voxels = paint(stroke.points, stroke.radius_mm, self.grid.shape, self.grid.affine)
        self.given |= {tuple(each): value for each in voxels.tolist()}
        self.follow(paint(stroke.points[:1], 0, self.grid.shape, self.grid.affine), value)
        for voxel, label in self.given.items():
            self.grid.labels[voxel] = label

    def follow(self, voxels: NDArray[np.int64], value: int) -> None:
        """Change the labels around the middle of a click, ``(1, 3)``."""


class Ball(Baseline):
    """The null hypothesis: a brush of 2 mm of the right label, which any editor has."""

    radius_mm = 2.0

    def follow(self, voxels: NDArray[np.int64], value: int) -> None:
        place = stroke_box(voxels, self.radius_mm, 0, self.grid.shape, self.grid.affine)
        self.grid.labels[place.box][place.distance <= self.radius_mm] = value


class LargeBall(Ball):
    """The same with 5 mm."""

    radius_mm = 5.0


class Grow(Baseline):
    """As Slicer's Grow from seeds: each label eroded by two voxels is a seed beside the strokes; the nearest along the
    image wins (steps cost mm and six times the difference of grey values, which are scaled to a deviation of 1)."""

    def follow(self, voxels: NDArray[np.int64], value: int) -> None:
        place = stroke_box(voxels, BOX_MM, 0, self.grid.shape, self.grid.affine)
        labels, spacing = self.grid.labels[place.box], self.grid.spacing
        cost, owner = np.full(labels.shape, 1e6, np.float32), labels.copy()
        for label in np.unique(labels):
            seeds = ndimage.binary_erosion(labels == label, iterations=2, border_value=1)
            cost[seeds & (place.distance > 4)] = 0
        cost[place.distance > BOX_MM - 1] = 0
        near = place.distance <= NEAR_MM * min(spacing)
        cost[near], owner[near] = 0, value
        steps = [np.abs(np.diff(_scaled(self.grid)[place.box], axis=axis)) * 6 + mm for axis, mm in enumerate(spacing)]
        for _ in range(8):
            before = cost.copy()
            for axis, step in enumerate(steps):
                _sweep(np.moveaxis(cost, axis, 0), np.moveaxis(owner, axis, 0), np.moveaxis(step, axis, 0))
            if np.array_equal(before, cost):
                break
        self.grid.labels[place.box] = owner


def _sweep(cost: NDArray[np.float32], owner: NDArray[np.uint8], step: NDArray[np.float32]) -> None:
    """One step forth and one back along the first axis."""
    for source, target in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
        offered = cost[source] + step
        better = offered < cost[target]
        owner[target] = np.where(better, owner[source], owner[target])
        cost[target] = np.where(better, offered, cost[target])


class Walker(Baseline):
    """A random walker with the probabilities as priors (Grady, CVPR 2005) in a box, whose border keeps its labels."""

    beta, prior = 2.0, 1.0

    def follow(self, voxels: NDArray[np.int64], value: int) -> None:
        reach = 9.0
        place = stroke_box(voxels, reach, 0, self.grid.shape, self.grid.affine)
        held = self.grid.probabilities
        if held is None:
            return
        box, image = place.box, _scaled(self.grid)[place.box]
        laplacian = _laplacian(image, self.grid.spacing, self.beta)
        seeds = np.where(place.distance > reach - 1, self.grid.labels[box].astype(int), -1)
        for voxel, label in self.given.items():
            inside = [index - part.start for index, part in zip(voxel, box, strict=True)]
            if all(0 <= index < size for index, size in zip(inside, image.shape, strict=True)):
                seeds[tuple(inside)] = label
        seeds[place.distance <= NEAR_MM * min(self.grid.spacing)] = value
        held[(slice(None), *box)] = _walk(laplacian, seeds, held[(slice(None), *box)], self.prior)
        self.grid.labels[box] = held[(slice(None), *box)].argmax(axis=0)


def _laplacian(image: NDArray[np.float32], spacing: NDArray[np.float64], beta: float) -> sparse.csr_matrix:
    numbers = np.arange(image.size).reshape(image.shape)
    ends, weights = [], []
    for axis, mm in enumerate(spacing):
        first, second = np.delete(numbers, -1, axis).ravel(), np.delete(numbers, 0, axis).ravel()
        ends.append((first, second))
        weights.append(np.exp(-beta * np.square(np.diff(image, axis=axis).ravel())) / mm**2 + 1e-3)
    first, second = (np.concatenate(each) for each in zip(*ends, strict=True))
    weight = np.concatenate(weights)
    joined = sparse.coo_matrix((np.r_[-weight, -weight], (np.r_[first, second], np.r_[second, first])))
    matrix = joined.tocsr()
    return (matrix + sparse.diags(-np.asarray(matrix.sum(axis=1)).ravel())).tocsr()


def _walk(
    laplacian: sparse.csr_matrix, seeds: NDArray[np.int64], before: NDArray[np.float32], prior: float
) -> NDArray[np.float32]:
    flat, start = seeds.ravel(), before.reshape(len(before), -1)
    free, fixed = np.flatnonzero(flat < 0), np.flatnonzero(flat >= 0)
    rows = laplacian[free]
    matrix, known = rows[:, free] + sparse.diags(np.full(len(free), prior)), rows[:, fixed]
    found = np.zeros_like(start)
    for label in range(len(start)):
        right = prior * start[label, free] - known @ (flat[fixed] == label).astype(float)
        found[label, free] = cg(
            matrix, right, x0=start[label, free], maxiter=30, M=sparse.diags(1 / matrix.diagonal()), rtol=1e-3
        )[0]
        found[label, fixed] = flat[fixed] == label
    return np.clip(found, 0, 1).reshape(before.shape)


def _scaled(grid: Grid) -> NDArray[np.float32]:
    """The image with a mean of 0 and a deviation of 1, a little smoothed."""
    image = grid.image.astype(np.float32)
    return ndimage.gaussian_filter((image - image.mean()) / max(float(image.std()), 1e-6), 0.5)


BASELINES: dict[str, Callable[[Grid], Baseline]] = {
    "painted ball, 2 mm": Ball,
    "painted ball, 5 mm": LargeBall,
    "Grow from seeds": Grow,
    "random walker": Walker,
}

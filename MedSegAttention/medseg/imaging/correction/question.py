"""A stroke on a grid before anything changes: which voxels are asked about, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.correction.distances import Box, signed_distance
from medseg.imaging.correction.inputs import CAP, USUAL_REACH, Surroundings
from medseg.imaging.correction.rule import sigmoid
from medseg.imaging.correction.stroke_box import MARGIN, StrokeBox, stroke_box
from medseg.imaging.image import Affine, Shape

_SOFTNESS_MM = 1.5  # a plain label map: probability = sigmoid(signed distance / this)


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """A segmentation and what lies on its grid.

    Attributes:
        labels: ``(I, J, K)`` whole numbers, 0 is background; strokes change them in place.
        affine: ``(4, 4)``, voxel -> RAS mm.
        image: ``(I, J, K)``; None: places and shapes alone decide.
        probabilities: ``(L, I, J, K)`` floats, of the labels 0 to L-1, changed in place; None: they are made from
            signed distances in each box.
        locked: ``(I, J, K)``, voxels that never change; None: all may.
    """

    labels: NDArray[Any]
    affine: Affine
    image: NDArray[Any] | None = None
    probabilities: NDArray[Any] | None = None
    locked: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not lie on one grid."""
        others = {"image": self.image, "locked": self.locked}
        shapes = {name: array.shape for name, array in others.items() if array is not None}
        if self.probabilities is not None:
            shapes["probabilities"] = self.probabilities.shape[1:]
        for name, shape in shapes.items():
            if shape != self.labels.shape:
                msg = f"{name} lies on the grid of the labels {self.labels.shape}, got {shape}"
                raise ValueError(msg)

    @property
    def shape(self) -> Shape:
        """Voxels along i, j, k."""
        i, j, k = self.labels.shape
        return i, j, k

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Mm between voxel centres along i, j, k."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return lengths

    def open_voxels(self, voxels: NDArray[np.int64], only: int | None) -> NDArray[np.int64]:
        """Those of some voxels ``(N, 3)`` that may change: not locked, and of one label where one is given."""
        index = tuple(voxels.T)
        allowed = np.ones(len(voxels), bool)
        if self.locked is not None:
            allowed &= ~self.locked[index]
        if only is not None:
            allowed &= self.labels[index] == only
        return voxels[allowed]

    def probability(self, value: int, box: Box) -> NDArray[np.float32]:
        """Of a label in a box."""
        if self.probabilities is not None:
            stored: NDArray[np.float32] = self.probabilities[(value, *box)].astype(np.float32)
            return stored
        return sigmoid(
            -signed_distance(self.labels[box] == value, [float(mm) for mm in self.spacing], CAP) / _SOFTNESS_MM
        )


@dataclass(frozen=True, eq=False)
class Pinned:
    """The voxels ``(N, 3)`` of an earlier stroke, and the label it gave them."""

    voxels: NDArray[np.int64]
    value: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What a stroke asks: which voxels near it take its label.

    Attributes:
        value: the label.
        voxels: ``(N, 3)`` of the stroke.
        place: the box.
        near: ``place.box``, voxels that may take it: within the reach, of another label, and free to change.
        stroke: those of them that the stroke covers.
        around: what is known.
    """

    value: int
    voxels: NDArray[np.int64]
    place: StrokeBox
    near: NDArray[np.bool_]
    stroke: NDArray[np.bool_]
    around: Surroundings


def ask(
    grid: Grid,
    voxels: NDArray[np.int64],
    value: int,
    reach_mm: float,
    pinned: Sequence[Pinned],
    only: int | None = None,
) -> Question:
    """Look at the surroundings of a stroke.

    Args:
        grid: the segmentation.
        voxels: ``(N, 3)`` of the stroke, one at least.
        value: the label they get.
        reach_mm: what is further away never changes.
        pinned: earlier strokes, in order.
        only: the one label that may change; None: all.
    """
    scale = reach_mm / USUAL_REACH
    place = stroke_box(voxels, reach_mm, MARGIN * scale, grid.shape, grid.affine)
    labels = grid.labels[place.outer]
    stroke = _mask(voxels, place.outer)
    under = labels[stroke & (labels != value)]
    replaced = int(np.bincount(under).argmax()) if under.size else int(value == 0)
    pins = np.full(labels.shape, -1)
    for earlier in pinned:
        pins[_mask(earlier.voxels, place.outer)] = earlier.value
    inner = place.inner
    near = (place.distance < reach_mm) & (labels[inner] != value) & ((pins[inner] < 0) | stroke[inner])
    if grid.locked is not None:
        near &= ~grid.locked[place.box]
    if only is not None:
        near &= labels[inner] == only
    around = Surroundings(
        image=None if grid.image is None else grid.image[place.outer].astype(np.float32),
        wanted=labels == value,
        replaced=labels == replaced,
        p_wanted=grid.probability(value, place.outer),
        p_replaced=grid.probability(replaced, place.outer),
        stroke=stroke,
        same=pins == value,
        other=(pins >= 0) & (pins != value),
        distance=place.distance / np.float32(scale),
        inner=inner,
        spacing=[float(mm) / scale for mm in grid.spacing],
        is_background=(value == 0, replaced == 0),
        is_plain=grid.probabilities is None,
    )
    return Question(value=value, voxels=voxels, place=place, near=near, stroke=stroke[inner][near], around=around)


def _mask(voxels: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Which voxels of a box are among those listed."""
    shape = [part.stop - part.start for part in box]
    index = voxels - [part.start for part in box]
    mask = np.zeros(shape, bool)
    mask[tuple(index[((index >= 0) & (index < shape)).all(axis=1)].T)] = True
    return mask

"""Small segmentations with strokes on any grid, and answers that are known beforehand."""

import numpy as np
from hypothesis import strategies as st

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.spec.stroke import Stroke

SHAPE = (14, 12, 10)


def rotation(angles):
    """A rotation about i, then j, then k."""
    whole = np.eye(3)
    for axis, angle in enumerate(angles):
        turn, (a, b) = np.eye(3), [n for n in range(3) if n != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        whole = whole @ turn
    return whole


@st.composite
def affines(draw, *, sheared=False):
    """Anisotropic, oblique, perhaps left-handed or sheared."""
    spacing = draw(st.tuples(*[st.floats(0.4, 6.5)] * 3))
    matrix = rotation(draw(st.tuples(*[st.floats(-3, 3)] * 3))) @ np.diag(spacing)
    if draw(st.booleans()):
        matrix[:, 0] *= -1
    if sheared:
        matrix = matrix @ np.array([[1, draw(st.floats(-0.5, 0.5)), 0], [0, 1, draw(st.floats(-0.5, 0.5))], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    return affine


@st.composite
def strokes(draw, affine, *, label_count=3):
    """A stroke through some voxels of the grid, and the label it is of."""
    voxels = draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), min_size=1, max_size=4))
    value = draw(st.integers(0, label_count - 1))
    stroke = Stroke(
        label=f"label {value}" if value else "background",
        points=tuple(tuple(map(float, (affine @ (*voxel, 1))[:3])) for voxel in voxels),
        remove=bool(value) and draw(st.booleans()),
        radius_mm=draw(st.sampled_from([0.0, 1.0, 3.0])),
        reach_mm=draw(st.floats(1, 20)),
    )
    return stroke, value


@st.composite
def corrections(draw, *, sheared=False, plain=None):
    """A corrector on random labels, and strokes to paint."""
    affine = draw(affines(sheared=sheared))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probabilities = random.dirichlet([0.5, 0.5, 0.5], SHAPE).transpose(3, 0, 1, 2)
    probabilities = probabilities.astype(draw(st.sampled_from([np.float16, np.float32])))
    grid = Grid(
        labels=probabilities.argmax(axis=0).astype(np.uint8),
        affine=affine,
        image=random.normal(size=SHAPE).astype(np.float32) if draw(st.booleans()) else None,
        probabilities=None if (draw(st.booleans()) if plain is None else plain) else probabilities,
        locked=random.random(SHAPE) < 0.2 if draw(st.booleans()) else None,
    )
    return Corrector(grid), draw(st.lists(strokes(affine), min_size=1, max_size=4))

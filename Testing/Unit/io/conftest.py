"""Small images on every kind of grid."""

from itertools import permutations, product

import numpy as np
import pytest

from medseg.imaging.image import Image


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Turns about the three axes, in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_from(axes: np.ndarray, spacing=(0.7, 1.25, 3.0), origin=(-12.5, 40.25, 7.75)) -> np.ndarray:
    """Voxel -> RAS mm from unit columns."""
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.fixture(scope="session")
def straight_affines() -> list[np.ndarray]:
    """All 48 ways in which three axes can lie along the body's, half of them left-handed."""
    return [
        affine_from(np.eye(3)[:, list(order)] * np.array(signs))
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]


@pytest.fixture(scope="session")
def oblique_affine() -> np.ndarray:
    """Turned about all three axes and left-handed."""
    return affine_from(rotation(0.3, -0.5, 0.8) * np.array([1, -1, 1]))


@pytest.fixture(scope="session")
def sheared_affine() -> np.ndarray:
    """As of a scanner with its gantry tilted by 18 degrees."""
    affine = affine_from(np.eye(3))
    affine[1, 2] = affine[2, 2] * np.tan(np.radians(18))
    return affine


@pytest.fixture
def labels() -> Image:
    """Labels 0..3 in no symmetric order; label 3 is rare."""
    array = np.zeros((1, 5, 4, 3), dtype=np.int64)
    array[0, 1:4, 1:3, 0:2] = 1
    array[0, 0, :, 2] = 2
    array[0, 4, 3, 1] = 3
    return Image(array)

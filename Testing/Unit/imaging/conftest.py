"""Grids of every kind and a small manifest, for the tests of this layer."""

import itertools

import numpy as np
import pytest

from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")


def _rotation(degrees: float) -> np.ndarray:
    """Turn about the axis (1, 2, 3) by Rodrigues' formula."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.fixture(scope="session")
def make_affine():
    """Affine with axes permuted and reversed, then turned, sheared and placed."""

    def make(
        order=(0, 1, 2), signs=(1, 1, 1), spacing=(1.0, 1.0, 1.0), degrees=0.0, shear=0.0, origin=(-11.0, 7.0, 30.0)
    ):
        affine = np.eye(4)
        directions = np.zeros((3, 3))
        for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
            directions[row, column] = sign
        skew = np.eye(3)
        skew[0, 2] = shear
        affine[:3, :3] = _rotation(degrees) @ directions @ skew @ np.diag(spacing)
        affine[:3, 3] = origin
        return affine

    return make


@pytest.fixture(scope="session")
def all_orientations():
    """The 48 ways to lay three array axes along the patient: (order, signs)."""
    return list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.fixture(scope="session")
def world():
    """Function giving the RAS position of every voxel centre, ``(3, I, J, K)``."""

    def positions(shape, affine):
        grid = np.indices(shape).reshape(3, -1)
        return (affine[:3, :3] @ grid + affine[:3, 3:]).reshape(3, *shape)

    return positions


@pytest.fixture(scope="session")
def make_manifest():
    """Manifest with any field replaced."""

    def make(label_count=3, channel_count=1, **fields):
        labels = tuple(
            LabelSpec(value=n, name=f"part {n}", color=(200, 20 * n % 256, 0), category=ANATOMY, type=ANATOMY)
            for n in range(1, label_count)
        )
        channels = tuple(ChannelSpec(name=f"channel {n}", modality="MR") for n in range(channel_count))
        standard = {
            "model_id": "phantom",
            "title": "Phantom",
            "version": "1",
            "description": "",
            "network": "none",
            "intensity": IntensityRule(kind="none"),
            "window_shape": (16, 16, 16),
            "anatomy": "",
            "intended_use": "",
            "licence": "",
            "authors": "",
            "training_data": "",
        }
        return ModelManifest(labels=labels, channels=channels, **{**standard, **fields})

    return make

"""A folder of models with a tiny one in it, and a small volume."""

import numpy as np
import pytest

from Integration.tiny import write_tiny_bundle
from medseg.imaging.image import Image
from medseg.io.write import write_image


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder)
    write_tiny_bundle(folder, channels=2, model_id="tiny-two-channels")
    return folder


@pytest.fixture(autouse=True)
def _models(models_folder, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(models_folder))


@pytest.fixture
def volume():
    """An oblique, anisotropic volume of blurred noise."""
    turn = np.radians(20)
    affine = np.diag([1.0, 1.0, 2.5, 1.0])
    affine[:2, :2] = [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = 10, -20, 30
    array = np.random.default_rng(0).normal(100, 30, (1, 22, 19, 9)).astype(np.float32)
    return Image(array, affine)


@pytest.fixture
def scan_file(tmp_path, volume):
    path = tmp_path / "scan.nii.gz"
    write_image(path, volume)
    return path

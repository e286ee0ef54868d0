"""From pictures of several sizes to a 2D model that segments one of another size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from medseg.jobs.run.segment import segment_case
from medseg.spec.job import Options
from medseg.training.planning.config import TrainingConfig
from medseg.training.prepare import prepare
from medseg.training.train import train


def a_picture(width: int, height: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright disc, squeezed as the picture is, and where it lies."""
    across, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    i, j = rng.uniform(0.35, 0.65, size=2)
    disc = np.hypot(across - i, down - j) < 0.25
    return (60 + 100 * disc + rng.normal(0, 8, disc.shape)).astype(np.uint8), disc


def test_pictures_and_black_and_white_masks_become_a_model_for_pictures_of_any_size(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, size in enumerate([(64, 48), (80, 80), (50, 90), (100, 64)]):
        picture, disc = a_picture(*size, rng)
        Picture.fromarray(picture).save(tmp_path / "images" / f"p{number}.png")
        Picture.fromarray((disc * 255).astype(np.uint8)).save(tmp_path / "masks" / f"p{number}.png")
    config = TrainingConfig(
        dataset=tmp_path,
        output=tmp_path / "disc",
        fold="all",
        window=(32, 32, 1),
        steps=80,
        learning_rate=2e-2,
        batch=4,
        workers=0,
        device="cpu",
        changes=("model.arguments.widths=T",),
    )
    bundle = train(config, *prepare(config))
    assert bundle.manifest.slices is not None
    assert bundle.manifest.slices.fit == "resize"
    picture, disc = a_picture(150, 110, rng)
    Picture.fromarray(picture).save(tmp_path / "new.png")
    found = segment_case([tmp_path / "new.png"], bundle, Options(device="cpu"))
    own = found.labels.array[0, :, :, 0].T > 0
    assert own.shape == disc.shape
    assert 2 * (own & disc).sum() / (own.sum() + disc.sum()) > 0.9

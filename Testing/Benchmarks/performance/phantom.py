"""A made-up scan of a body in air, and a model with random weights that gives every label somewhere."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.bundles.write import write_bundle
from medseg.imaging.image import Image, Shape
from medseg.io.write import write_image
from medseg.networks import build_network
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest
from performance.nets import alive, balanced

AFFINE = np.diag([0.8, 0.8, 1.5, 1.0])
LOWER, UPPER, MEAN, STD = -1000.0, 1000.0, 0.0, 200.0  # of the model's intensity rule, in Hounsfield units


def body(shape: Shape) -> NDArray[np.int16]:
    """An elliptic trunk with lungs, spine and lumps in it, a third of the box is air; ``(I, J, K)`` in HU."""
    generator = np.random.default_rng(0)
    i, j, k = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    across = i[:, None, None], j[None, :, None], k[None, None, :]
    scan = np.full(shape, -1000, np.float32)
    scan[_ellipse(across, (0, 0), (0.92, 0.72)) & np.ones(shape[2], bool)] = 40
    for side in (-0.45, 0.45):
        lung = _ellipse(across, (side, 0.05), (0.3, 0.45)) & (across[2] > 0)
        scan[lung] = -800
    scan[_ellipse(across, (0, -0.45), (0.12, 0.12)) & np.ones(shape[2], bool)] = 500
    inside = scan > -900
    scan += inside * _lumps(shape, generator)
    scan += generator.standard_normal(shape, dtype=np.float32) * 15
    return scan.round().astype(np.int16)


def _ellipse(
    across: tuple[NDArray[np.float32], ...], centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.bool_]:
    i, j, _ = across
    return ((i - centre[0]) / radii[0]) ** 2 + ((j - centre[1]) / radii[1]) ** 2 < 1


def _lumps(shape: Shape, generator: np.random.Generator) -> NDArray[np.float32]:
    coarse = torch.from_numpy(generator.standard_normal((1, 1, *(max(2, size // 24) for size in shape)))).float()
    fine: NDArray[np.float32] = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0, 0].numpy()
    return 120 * fine


def write_scan(path: Path, shape: tuple[int, ...]) -> None:
    """The phantom as int16, gzip-compressed."""
    i, j, k = shape
    write_image(path, Image(body((i, j, k))[None], AFFINE))


def write_model(folder: Path, model_id: str, *, labels: int, window: int, overlap: float) -> None:
    """UltraLightUNet3D base with random weights, as a bundle in the folder.

    Args:
        folder: of models.
        model_id: the bundle's name.
        labels: outputs, background included.
        window: voxels an axis.
        overlap: of the windows.
    """
    organ = Code("SCT", "113343008", "Organ")
    manifest = ModelManifest(
        model_id=model_id,
        title="Benchmark",
        version="1.0.0",
        description="Random weights",
        network="ultralight_unet",
        arguments={"label_count": labels},
        labels=tuple(
            LabelSpec(value=n, name=f"part {n}", color=(10 * n, 0, 0), category=organ, type=organ)
            for n in range(1, labels)
        ),
        channels=(ChannelSpec(name="CT", modality="CT"),),
        intensity=IntensityRule(kind="clip_zscore", lower=LOWER, upper=UPPER, mean=MEAN, std=STD),
        window_shape=(window, window, window),
        overlap=overlap,
        anatomy="none",
        intended_use="none",
        licence="Apache-2.0",
        authors="none",
        training_data="none",
    )
    torch.manual_seed(0)
    network = alive(build_network(manifest.network, **manifest.arguments))
    trial = torch.from_numpy(body((window,) * 3)).float().clamp(LOWER, UPPER).sub(MEAN).div(STD)
    write_bundle(folder / model_id, manifest, balanced(network, trial[None, None]), licence_text="-\n")

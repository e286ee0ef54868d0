"""Training cases in memory, prepared exactly as inference prepares them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import resample_to
from medseg.imaging.preprocess import prepare
from medseg.io.dataset import CaseFiles, read_case
from medseg.spec.errors import ImageError
from medseg.spec.manifest import ModelManifest


@dataclass(frozen=True, eq=False)
class Case:
    """One case in the model's orientation, spacing and intensity."""

    name: str
    image: NDArray[np.float32]  # (C, I, J, K)
    labels: NDArray[np.uint8]  # (1, I, J, K)


def load_case(files: CaseFiles, manifest: ModelManifest) -> Case:
    """Read one case and prepare it for the model that the manifest describes.

    Raises:
        ImageError: if the labels hold a value the manifest does not list.
    """
    image, labels = read_case(files)
    highest = int(labels.array.max())
    if highest > len(manifest.labels):
        msg = f"{files.labels} holds label {highest}, but the manifest lists the values 1 to {len(manifest.labels)}"
        raise ImageError(msg)
    prepared = prepare(image, manifest)
    cropped = prepared.crop.apply(prepared.reorient.apply(labels))
    moved = resample_to(cropped, prepared.image.shape, prepared.image.affine, order="nearest")
    return Case(files.name, prepared.image.array.astype(np.float32), moved.array.astype(np.uint8))

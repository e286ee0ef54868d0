"""The door for Python: a path, an image or a SimpleITK image in, a segmentation out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own name for itself

from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.jobs.run.progress import IsCancelled, OnEvent, ignore_event, never
from medseg.jobs.run.results import Outputs, Segmentation
from medseg.jobs.run.segment import segment_case
from medseg.spec.errors import ImageError
from medseg.spec.job import EngineName, Options, Precision
from medseg.spec.manifest import PostprocessRule

Source = Path | str | Image | sitk.Image
Roi = tuple[float, float, float, float, float, float]


def segment(
    image: Source | Sequence[Source],
    *,
    model: str,
    output: Path | str | None = None,
    overwrite: bool = False,
    device: str = "auto",
    overlap: float | None = None,
    mirror: bool | None = None,
    roi: Roi | None = None,
    window_batch: int = 1,
    precision: Precision = "float32",
    engine: EngineName = "auto",
    spacing_factor: float = 1.0,
    postprocess: PostprocessRule | None = None,
    probabilities: bool = False,
    frame: int | None = None,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
) -> Segmentation:
    """Segment one case.

    Args:
        image: a file or DICOM folder, an ``Image`` or a SimpleITK image; or one of these a channel, in order.
        model: id of a bundle.
        output: where to write the labels; None: nothing is written.
        overwrite: whether an existing output may be replaced.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        overlap: share of a window its neighbour also sees, 0..0.9; None: the model's.
        mirror: average over flipped copies; None: as the model says.
        roi: R-, R+, A-, A+, S-, S+ in RAS mm; only this region is segmented.
        window_batch: windows computed at a time.
        precision: of the network's arithmetic.
        engine: what runs the network on a processor: "torch", "openvino" (an optional package), or "auto": OpenVINO
            where it is installed, runs the network faster and gives the same answer, else PyTorch.
        spacing_factor: voxels 1 to 8 times larger than the model's, for a quick preview.
        postprocess: replaces the model's rule.
        probabilities: also return the probabilities.
        frame: which time point of a 4-D file.
        on_event: hears progress, warnings and, last, that it is finished.
        cancelled: asked between windows; True stops.

    Raises:
        MedSegError: one of its kinds, when the user can mend it.
    """
    options = Options(
        device=device,
        overlap=overlap,
        mirror=mirror,
        window_batch=window_batch,
        precision=precision,
        engine=engine,
        roi_ras_mm=roi,
        postprocess=postprocess,
        spacing_factor=spacing_factor,
    )
    sources = [image] if isinstance(image, Path | str | Image | sitk.Image) else list(image)
    return segment_case(
        [from_simpleitk(source) if isinstance(source, sitk.Image) else source for source in sources],
        find_bundle(model),
        options,
        outputs=Outputs(labels=None if output is None else Path(output), overwrite=overwrite),
        frame=frame,
        want_probabilities=probabilities,
        on_event=on_event,
        cancelled=cancelled,
    )


def from_simpleitk(image: Any) -> Image:
    """Take over a SimpleITK volume (LPS, its own axis order) without changing a voxel.

    Raises:
        ImageError: when it is not 3-D.
    """
    if image.GetDimension() != 3:
        msg = f"an image has 3 dimensions, got {image.GetDimension()}; take one volume out of it first"
        raise ImageError(msg)
    array = sitk.GetArrayFromImage(image)
    channels = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Image(np.ascontiguousarray(channels.transpose(0, 3, 2, 1)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)

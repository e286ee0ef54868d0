"""Images in memory to segments in memory: preprocess, predict, restore, postprocess, measure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.geometry import stack_channels
from medseg.imaging.image import Image
from medseg.imaging.measure import SegmentMeasures, measure
from medseg.imaging.postprocess import postprocess
from medseg.imaging.preprocess import prepare
from medseg.inference.device import choose_device, device_name
from medseg.io.write import write_segmentation
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.network_run import NetworkRun
from medseg.jobs.run.progress import IsCancelled, OnEvent, ProgressReporter, ignore_event, never
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import Options
from medseg.spec.manifest import LabelSpec


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """A finished segmentation on the input's own grid.

    Attributes:
        labels: ``(1, I, J, K)``, 0 is background.
        image: the channels that were segmented, ``(C, I, J, K)``, on the same grid.
        specs: name, colour and codes of each label.
        measures: voxels, millilitres and mean intensity of each label.
        probabilities: ``(L, I, J, K)`` float32, background first; None unless asked for.
        device: what the network really ran on.
        seconds: wall time by stage.
        warnings: what the user was told.
        windows_seconds: seconds the network took, without attempts that ran out of memory.
        window_count: windows it saw in that time, each mirror image counted.
        engine: what ran the network, as ``Engine.told`` says it.
        parts: seconds within the stage "windows": "engine" (getting it ready), "network", "stitch", "decode".
    """

    labels: Image
    image: Image
    specs: tuple[LabelSpec, ...]
    measures: tuple[SegmentMeasures, ...]
    probabilities: Image | None
    device: str
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    windows_seconds: float
    window_count: int
    engine: str = ""
    parts: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the labels; the ending says the format, and ``.seg.nrrd`` keeps names, colours and codes.

        Raises:
            JobError: when the file cannot be written there or so.
            OutputExists: when there is one and overwriting was not allowed.
        """
        write_segmentation(Path(path), self.labels, self.specs, overwrite=overwrite)


def segment_images(
    images: Sequence[Image],
    bundle: Bundle,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
    want_probabilities: bool = False,
    network: nn.Module | None = None,
    engines: KeptEngines | None = None,
    stages: ProgressReporter | None = None,
) -> Segmentation:
    """Segment one case.

    Args:
        images: one ``(1, I, J, K)`` image a channel in the model's order, or one image with all channels. The result
            lies on the first one's grid.
        bundle: the model.
        options: what the user chose.
        on_event: hears progress and warnings.
        cancelled: asked between windows and stages.
        want_probabilities: also return the probabilities, on the same grid.
        network: the bundle's network if it is loaded already.
        engines: those of earlier jobs; None: made for this one.
        stages: continue this progress rather than begin one; replaces ``on_event`` and ``cancelled``.

    Raises:
        ImageError: when the images hold no number, or do not overlap.
        JobError: when options, channels and model do not fit each other.
        Cancelled: when asked to stop.
    """
    progress = stages or ProgressReporter(on_event, cancelled)
    device = choose_device(options.device)
    with progress.stage("preprocess"):
        image = _one_image(images)
        prepared = prepare(
            image,
            bundle.manifest,
            options.roi_ras_mm,
            roi_voxels=options.roi_voxels,
            spacing_factor=options.spacing_factor,
        )
        network = network or load_network(bundle)
    run = NetworkRun(
        prepared=prepared,
        network=network,
        manifest=bundle.manifest,
        options=options,
        engines=engines or KeptEngines(),
        progress=progress,
        want_probabilities=want_probabilities,
    )
    found = run.answer(device)
    del prepared, run  # the prepared image is not needed any more, and large
    with progress.stage("postprocess"):
        rule = options.postprocess or bundle.manifest.postprocess
        labels = postprocess(Image(found.labels[None], image.affine), rule)
        measures = measure(labels, image, bundle.manifest.labels)
    if not labels.array.any():
        progress.warn("nothing was segmented: every voxel is background; check that the model fits this image")
    return Segmentation(
        labels=labels,
        image=image,
        specs=bundle.manifest.labels,
        measures=measures,
        probabilities=None if found.probabilities is None else Image(found.probabilities, image.affine),
        device=device_name(found.device),
        seconds=dict(progress.seconds),
        warnings=tuple(progress.warnings),
        windows_seconds=found.parts["network"],
        window_count=found.window_count,
        engine=found.engine,
        parts=found.parts,
    )


def _one_image(images: Sequence[Image]) -> Image:
    """Put the channels together and refuse a case without a single number in a channel."""
    if len(images) > 1 and any(image.channel_count > 1 for image in images):
        counts = ", ".join(str(image.channel_count) for image in images)
        msg = f"several inputs are one channel each, got inputs of {counts} channels; give one file a channel"
        raise JobError(msg)
    image = images[0] if len(images) == 1 else stack_channels(images)
    for number, channel in enumerate(image.array):
        if not np.isfinite(channel).any():
            msg = f"channel {number} of the image has no finite voxel of {channel.size}; export it again"
            raise ImageError(msg)
    return image

"""Images in memory to segments in memory: preprocess, predict, restore, postprocess, measure."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.geometry import stack_channels
from medseg.imaging.image import Image
from medseg.imaging.measure import SegmentMeasures, measure
from medseg.imaging.postprocess import postprocess
from medseg.imaging.preprocess import Prepared, prepare
from medseg.inference.device import choose_device, device_name
from medseg.inference.mirror_axes import mirror_axes
from medseg.inference.predictor import HalfPrecisionOverflow, predict
from medseg.io.write import write_segmentation
from medseg.jobs.stages import IsCancelled, OnEvent, Stages, ignore_event, never
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import Options, Precision
from medseg.spec.manifest import LabelSpec, ModelManifest


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
    stages: Stages | None = None,
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
        stages: continue this story rather than begin one; replaces ``on_event`` and ``cancelled``.

    Raises:
        ImageError: when the images hold no number, or do not overlap.
        JobError: when options, channels and model do not fit each other.
        Cancelled: when asked to stop.
    """
    story = stages or Stages(on_event, cancelled)
    device = choose_device(options.device)
    with story.stage("preprocess"):
        image = _one_image(images)
        prepared = prepare(
            image, bundle.manifest, options.roi_ras_mm, roi_voxels=options.roi_voxels, coarser=options.coarser
        )
        network = network or load_network(bundle)
    found = _find(prepared, network, bundle.manifest, options, device, story, want_probabilities=want_probabilities)
    with story.stage("postprocess"):
        rule = options.postprocess or bundle.manifest.postprocess
        labels = postprocess(found.labels, rule)
        measures = measure(labels, image, bundle.manifest.labels)
    if not labels.array.any():
        story.warn("nothing was segmented: every voxel is background; check that the model fits this image")
    return Segmentation(
        labels=labels,
        image=image,
        specs=bundle.manifest.labels,
        measures=measures,
        probabilities=found.probabilities,
        device=device_name(found.device),
        seconds=dict(story.seconds),
        warnings=tuple(story.warnings),
        windows_seconds=found.seconds,
        window_count=found.window_count,
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


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the network said, and what that took."""

    scores: NDArray[np.float32]  # (L, i, j, k) on the prepared grid
    device: torch.device
    seconds: float
    window_count: int  # each mirror image counted


@dataclass(frozen=True, eq=False)
class _Found:
    """The same on the input's grid."""

    labels: Image
    probabilities: Image | None
    device: torch.device
    seconds: float
    window_count: int


def _find(
    prepared: Prepared,
    network: nn.Module,
    manifest: ModelManifest,
    options: Options,
    device: torch.device,
    story: Stages,
    *,
    want_probabilities: bool,
) -> _Found:
    """Run the network and bring its scores back; they are the largest array of a job and end with this function."""
    answer = _predict(prepared, network, manifest, options, device, story)
    shape = (len(answer.scores), *prepared.source_shape)
    whole = np.empty(shape, dtype=np.float32) if want_probabilities else None
    with story.stage("restore", total=len(answer.scores)) as step:
        labels = prepared.restore_labels(answer.scores, probabilities=whole, on_label=step)
    return _Found(
        labels=Image(labels[None], prepared.source_affine),
        probabilities=None if whole is None else Image(whole, prepared.source_affine),
        device=answer.device,
        seconds=answer.seconds,
        window_count=answer.window_count,
    )


def _predict(
    prepared: Prepared,
    network: nn.Module,
    manifest: ModelManifest,
    options: Options,
    device: torch.device,
    story: Stages,
) -> _Answer:
    """Run the network; when the device has too little memory ask for less, and say so."""
    passes = 2 ** len(mirror_axes(manifest, options.mirror))
    windows = 0
    with story.stage("windows", total=0) as step:

        def on_window(done: int, total: int) -> None:
            nonlocal windows
            windows = total
            step(done, total)

        for used, batch, precision in _attempts(device, options):
            begun = time.perf_counter()
            try:
                scores = predict(
                    prepared.image.array,
                    network,
                    manifest,
                    device=used,
                    overlap=options.overlap,
                    mirror=options.mirror,
                    window_batch=batch,
                    precision=precision,
                    on_window=on_window,
                )
            except torch.OutOfMemoryError:
                reason = f"{used} ran out of memory with {batch} window(s) at a time in {precision}"
            except HalfPrecisionOverflow:
                if precision == options.precision:  # the user's own choice is not changed behind his back
                    raise
                reason = f"{precision} is too small for the numbers of {manifest.model_id}"
            else:
                return _Answer(scores, used, time.perf_counter() - begun, windows * passes)
            story.warn(f"{reason}; trying with less memory")
            torch.cuda.empty_cache()  # here, where the failed attempt holds no tensors any more
    msg = f"{device} has too little memory for {manifest.model_id}; try --roi to segment a smaller region"
    raise JobError(msg)


def _attempts(device: torch.device, options: Options) -> Iterator[tuple[torch.device, int, Precision]]:
    """Ways to run, from what was asked for to what needs least memory on the device."""
    yield device, options.window_batch, options.precision
    if device.type == "cpu":
        return
    if options.window_batch > 1:
        yield device, 1, options.precision
    if options.precision == "float32":
        yield device, 1, "float16"
    yield torch.device("cpu"), 1, "float32"

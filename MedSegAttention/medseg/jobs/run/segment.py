"""One case from its inputs to its segments: the path that every door takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.domain import check_scan, check_volumes
from medseg.imaging.geometry import stack_channels
from medseg.imaging.grids import check_channels
from medseg.imaging.image import Image
from medseg.imaging.measure import measure
from medseg.imaging.overlap import as_layers, covered_words, postprocess_members
from medseg.imaging.postprocess import postprocess
from medseg.inference.device import choose_device, device_name
from medseg.inference.forecast import Forecast
from medseg.inference.network_memory import has_openvino
from medseg.inference.run_plan import RunPlan, result_labels
from medseg.inference.stages_forecast import forecast_plans, plan_image
from medseg.io.read import read_image
from medseg.jobs.run.asked import Asked
from medseg.jobs.run.dicom_outputs import DicomOrigin
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.progress import IsCancelled, OnEvent, ProgressReporter, ignore_event, never
from medseg.jobs.run.results import Outputs, Segmentation, Source
from medseg.spec.errors import ImageError, JobError
from medseg.spec.events import Finished
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest
from medseg.spec.postprocess import PostprocessRule

_COLOURS = 3  # red, green and blue: the channels that one picture may have


def segment_case(
    inputs: Sequence[Source],
    bundle: Bundle,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    outputs: Outputs = Outputs(),  # noqa: B008 - frozen
    frame: int | None = None,
    modality: str = "",
    want_probabilities: bool = False,
    load: Callable[[Bundle], nn.Module] = load_network,
    engines: KeptEngines | None = None,
    keep_stages: bool = False,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Segmentation:
    """Segment one case: the path that every door takes.

    Everything that can be refused is refused before the network is loaded. The outputs are written under temporary
    names and renamed together at the end; after an error, a refusal or a cancel none of them is there.

    Args:
        inputs: a file, a DICOM folder or an image a channel in the model's order, or one with all channels. The result
            lies on the first one's grid.
        bundle: the model.
        options: what the user chose.
        outputs: the files to write.
        frame: which time point of a 4-D file; not beside images in memory, which have one.
        modality: as DICOM names it, of inputs that do not say it.
        want_probabilities: also return the probabilities; they are returned too where they are written.
        load: gives the bundle's network; replaced where networks are kept between cases.
        keep_stages: whether those of a model's stages are given and kept so, too; else one is there at a time.
        engines: those of earlier cases, for the same networks; None: made for this one.
        on_event: hears Progress, Warned and, last, Finished; whatever it raises ends the work.
        cancelled: asked between windows and stages, and a last time before the outputs appear.
        on_forecast: hears what the case will take as soon as that is known.

    Raises:
        MedSegError: one of its kinds, when the user can mend it.
    """
    begun = time.perf_counter()
    progress = ProgressReporter(on_event, cancelled)
    outputs.check(inputs)
    device = str(choose_device(options.device))
    images, files = _read(inputs, frame, progress, bundle.manifest)
    outputs.check_grid(images[0])
    want_probabilities = want_probabilities or outputs.probabilities is not None
    with progress.stage("preprocess"):
        image = _one_image(images, bundle.manifest)
        image = replace(image, modality=image.modality or modality)
        del images
        plans = plan_image(image, bundle, options, device=device)
        if on_forecast is not None:
            on_forecast(_forecast(plans, bundle, image, probabilities=want_probabilities))
        for remark in check_scan(image, bundle.manifest):
            progress.warn(remark)
    asked = Asked(
        bundle, options, device, load, engines or KeptEngines(), progress, want_probabilities, keep_stages=keep_stages
    )
    specs = result_labels(image.shape, image.affine, bundle.manifest, options)
    origin = DicomOrigin(files=files, bundle=bundle)
    for remark in outputs.check_source(origin, image, specs):
        progress.warn(remark)
    found, probabilities = asked.answer(image, plans)
    with progress.stage("postprocess"):
        rule = options.postprocess or bundle.manifest.postprocess
        segments = _segments(found.values, image, bundle.manifest, rule)
        measures = measure(segments, image, specs)
    if lost := outputs.loses(segments, specs):
        progress.warn(covered_words(str(outputs.labels), lost))
    if not segments.array.any():
        progress.warn("nothing was segmented: every voxel is background; check that the model fits this image")
    if image.size_unit == "ml":
        for remark in check_volumes({row.name: row.volume_ml for row in measures}, specs, bundle.manifest):
            progress.warn(remark)
    result = Segmentation(
        labels=segments,
        image=image,
        specs=specs,
        measures=measures,
        probabilities=None if probabilities is None else Image(probabilities, image.affine),
        device=device_name(torch.device(found.plan.device)),
        seconds=progress.seconds,
        warnings=tuple(progress.warnings),
        windows_seconds=found.parts["network"],
        window_count=found.window_count,
        engine=found.engine,
        parts=found.parts,
        boxes=found.plan.boxes,
        inputs=tuple(Path(source) for source in inputs if not isinstance(source, Image)),
        origin=origin,
    )
    if outputs.paths:
        with progress.stage("write"):
            outputs.write(result, progress.stop_if_asked)
    took = time.perf_counter() - begun
    paths = tuple(str(path) for path in outputs.paths)
    on_event(
        Finished(
            outputs=paths,
            device=result.device,
            seconds=took,
            windows_seconds=result.windows_seconds,
            window_count=result.window_count,
            engine=result.engine,
            spacing_known=image.spacing_known,
            boxes=tuple(box.placed for box in result.boxes),
        )
    )
    return result


def forecast_case(
    inputs: Sequence[Source],
    bundle: Bundle,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    frame: int | None = None,
    probabilities: bool = False,
) -> Forecast:
    """Say what a case will take on this computer: it is read and planned, nothing is computed.

    Args:
        inputs: as in ``segment_case``, and so is the rest.
        bundle: the model.
        options: what the user chose.
        frame: which time point of a 4-D file.
        probabilities: whether they are wanted too.

    Raises:
        MedSegError: one of its kinds, for what ``segment_case`` would refuse too.
    """
    device = str(choose_device(options.device))
    image = _one_image(_read(inputs, frame, ProgressReporter(), bundle.manifest)[0], bundle.manifest)
    plans = plan_image(image, bundle, options, device=device)
    return _forecast(plans, bundle, image, probabilities=probabilities)


def _forecast(plans: Sequence[RunPlan], bundle: Bundle, image: Image, *, probabilities: bool) -> Forecast:
    return forecast_plans(
        plans, bundle, voxel_bytes=image.array.dtype.itemsize, probabilities=probabilities, openvino=has_openvino()
    )


def _segments(values: NDArray[Any], image: Image, manifest: ModelManifest, rule: PostprocessRule) -> Image:
    """Tidy the labels ``(I, J, K)``; those that overlap become layers."""
    found = Image(values[None], image.affine, spacing_known=image.spacing_known)
    if manifest.overlapping is None:
        return postprocess(found, rule)
    return as_layers(postprocess_members(found, rule, manifest.label_count), manifest)


def _read(
    inputs: Sequence[Source], frame: int | None, progress: ProgressReporter, manifest: ModelManifest
) -> tuple[list[Image], tuple[Path, ...]]:
    """Read the inputs that are files and pass on what reading them warns of; also the DICOM files of the first."""
    if not inputs:
        msg = "a case has at least one image, got an empty sequence; give a file or DICOM folder a channel"
        raise ImageError(msg)
    if frame is not None and any(isinstance(source, Image) for source in inputs):
        msg = f"a frame chooses a time point of a file, got frame {frame} and an image in memory; leave it out"
        raise JobError(msg)
    if all(isinstance(source, Image) for source in inputs):
        return [source for source in inputs if isinstance(source, Image)], ()
    images: list[Image] = []
    files: tuple[Path, ...] = ()
    with progress.stage("read"):
        for source in inputs:
            if isinstance(source, Image):
                images.append(source)
                continue
            count = len(manifest.channels) if len(inputs) == 1 else 1
            reading = read_image(Path(source), frame=frame, colours=count == _COLOURS, channels=count)
            for warning in reading.warnings:
                progress.warn(warning)
            if not images:  # the result lies on the grid of the first
                files = reading.sources
            images.append(reading.image)
    return images, files


def _one_image(images: Sequence[Image], manifest: ModelManifest) -> Image:
    """Put the model's channels together and refuse a case without a single number in a channel."""
    if len(images) > 1 and any(image.channel_count > 1 for image in images):
        counts = ", ".join(str(image.channel_count) for image in images)
        msg = f"several inputs are one channel each, got inputs of {counts} channels; give one file a channel"
        raise JobError(msg)
    check_channels(sum(image.channel_count for image in images), manifest)  # before one is resampled to another
    image = images[0] if len(images) == 1 else stack_channels(images)
    for number, channel in enumerate(image.array):
        if not np.isfinite(channel).any():
            msg = f"channel {number} of the image has no finite voxel of {channel.size}; export it again"
            raise ImageError(msg)
    return image

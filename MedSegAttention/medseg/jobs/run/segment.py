"""One case from its inputs to its segments: the path that every door takes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.geometry import stack_channels
from medseg.imaging.image import Image
from medseg.imaging.measure import measure
from medseg.imaging.postprocess import postprocess
from medseg.imaging.preprocess import prepare
from medseg.inference.device import choose_device, device_name
from medseg.inference.forecast import Forecast, forecast
from medseg.inference.network_memory import has_openvino
from medseg.io.read import read_image
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.network_run import NetworkRun
from medseg.jobs.run.progress import IsCancelled, OnEvent, ProgressReporter, ignore_event, never
from medseg.jobs.run.results import Outputs, Segmentation, Source
from medseg.spec.errors import ImageError, JobError
from medseg.spec.events import Finished
from medseg.spec.job import Options


def segment_case(
    inputs: Sequence[Source],
    bundle: Bundle,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    outputs: Outputs = Outputs(),  # noqa: B008 - frozen
    frame: int | None = None,
    want_probabilities: bool = False,
    load: Callable[[Bundle], nn.Module] = load_network,
    engines: KeptEngines | None = None,
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
        frame: which time point of a 4-D file.
        want_probabilities: also return the probabilities; they are returned too where they are written.
        load: gives the bundle's network; whoever keeps networks between cases hands over its own.
        engines: those of earlier cases, for the same networks; None: made for this one.
        on_event: hears Progress, Warned and, last, Finished; whatever it raises ends the work.
        cancelled: asked between windows and stages, and a last time before the outputs appear.
        on_forecast: told what the case will take as soon as that is known.

    Raises:
        MedSegError: one of its kinds, when the user can mend it.
    """
    begun = time.perf_counter()
    progress = ProgressReporter(on_event, cancelled)
    outputs.check(inputs)
    device = choose_device(options.device)
    images = _read(inputs, frame, progress)
    outputs.check_grid(images[0])
    with progress.stage("preprocess"):
        image = _one_image(images)
        del images
        if on_forecast is not None:
            on_forecast(forecast_case(image, bundle, options, probabilities=outputs.probabilities is not None))
        prepared = prepare(
            image,
            bundle.manifest,
            options.roi_ras_mm,
            roi_voxels=options.roi_voxels,
            spacing_factor=options.spacing_factor,
        )
        network = load(bundle)
    run = NetworkRun(
        prepared=prepared,
        network=network,
        manifest=bundle.manifest,
        options=options,
        engines=engines or KeptEngines(),
        progress=progress,
        want_probabilities=want_probabilities or outputs.probabilities is not None,
    )
    found = run.answer(device)
    del prepared, run  # the prepared image is not needed any more, and large
    with progress.stage("postprocess"):
        rule = options.postprocess or bundle.manifest.postprocess
        labels = postprocess(Image(found.labels[None], image.affine), rule)
        measures = measure(labels, image, bundle.manifest.labels)
    if not labels.array.any():
        progress.warn("nothing was segmented: every voxel is background; check that the model fits this image")
    result = Segmentation(
        labels=labels,
        image=image,
        specs=bundle.manifest.labels,
        measures=measures,
        probabilities=None if found.probabilities is None else Image(found.probabilities, image.affine),
        device=device_name(found.device),
        seconds=progress.seconds,
        warnings=tuple(progress.warnings),
        windows_seconds=found.parts["network"],
        window_count=found.window_count,
        engine=found.engine,
        parts=found.parts,
        inputs=tuple(Path(source) for source in inputs if not isinstance(source, Image)),
    )
    if outputs.paths:
        with progress.stage("write"):
            outputs.write(result, progress.stop_if_asked)
    took = time.perf_counter() - begun
    paths = tuple(str(path) for path in outputs.paths)
    on_event(Finished(paths, result.device, took, result.windows_seconds, result.window_count, result.engine))
    return result


def forecast_case(image: Image, bundle: Bundle, options: Options, *, probabilities: bool = False) -> Forecast:
    """Say what a case will take on this computer.

    Args:
        image: its channels, or the first of them.
        bundle: the model.
        options: what the user chose.
        probabilities: whether they are wanted too.

    Raises:
        MedSegError: one of its kinds, for what ``segment_case`` would refuse too.
    """
    weights = bundle.weights_path  # whoever loads them says it if they are missing
    return forecast(
        image.shape,
        image.affine,
        bundle.manifest,
        options,
        auto_device=choose_device(options.device).type,
        weights_mb=weights.stat().st_size / 2**20 if weights.is_file() else 0.0,
        voxel_bytes=image.array.dtype.itemsize,
        probabilities=probabilities,
        openvino=has_openvino(),
    )


def _read(inputs: Sequence[Source], frame: int | None, progress: ProgressReporter) -> list[Image]:
    """Read the inputs that are files and pass on what reading them warns of."""
    if not inputs:
        msg = "a case has at least one image, got none; give a file or DICOM folder a channel"
        raise ImageError(msg)
    if all(isinstance(source, Image) for source in inputs):
        return [source for source in inputs if isinstance(source, Image)]
    images = []
    with progress.stage("read"):
        for source in inputs:
            if isinstance(source, Image):
                images.append(source)
                continue
            reading = read_image(Path(source), frame=frame)
            for warning in reading.warnings:
                progress.warn(warning)
            images.append(reading.image)
    return images


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

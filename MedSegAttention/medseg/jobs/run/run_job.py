"""The whole flow, one entry for every door: files in, files out, and nothing left behind by a job that failed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from medseg.bundles.catalogue import Bundle, find_bundle
from medseg.bundles.weights import load_network
from medseg.imaging.image import Image
from medseg.inference.device import choose_device
from medseg.inference.forecast import Forecast
from medseg.io.atomic import check_target, replacing_all
from medseg.io.read import read_image
from medseg.io.write import check_writable, write_image, write_segmentation
from medseg.jobs.run.forecast_job import forecast_case
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.progress import IsCancelled, OnEvent, ProgressReporter, ignore_event, never
from medseg.jobs.run.segment import Segmentation, segment_images
from medseg.spec.errors import ImageError, JobError
from medseg.spec.events import Finished
from medseg.spec.job import Job
from medseg.spec.manifest import ModelManifest


def run_job(
    job: Job,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
    *,
    load: Callable[[Bundle], nn.Module] = load_network,
    engines: KeptEngines | None = None,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Segmentation:
    """Read, segment and write one case.

    Everything that can be refused is refused before the work starts. The outputs are written under temporary names
    and renamed together at the end; after an error, a refusal or a cancel none of them is there.

    Args:
        job: inputs, model, options and outputs.
        on_event: hears Progress, Warned and, last, Finished; whatever it raises ends the job.
        cancelled: asked between windows and stages, and a last time before the outputs appear.
        load: gives a bundle's network; a worker that keeps networks between jobs hands over its own.
        engines: those of earlier jobs, for the same networks; None: made for this job.
        on_forecast: told what the job will take as soon as the inputs are read.

    Raises:
        MedSegError: one of its kinds, when the user can mend it.
    """
    begun = time.perf_counter()
    progress = ProgressReporter(on_event, cancelled)
    check_outputs(job)
    bundle = find_bundle(job.model)
    choose_device(job.options.device)
    with progress.stage("read"):
        images = _read(job, bundle.manifest, progress)
        _check_grid(job, images[0])
    if on_forecast is not None:
        on_forecast(forecast_case(job, bundle, images[0]))
    result = segment_images(
        images,
        bundle,
        job.options,
        want_probabilities=job.probabilities is not None,
        network=load(bundle),
        engines=engines,
        stages=progress,
    )
    with progress.stage("write"):
        outputs = _write(job, result, progress)
    took = time.perf_counter() - begun
    on_event(Finished(outputs, result.device, took, result.windows_seconds, result.window_count, result.engine))
    return replace(result, seconds=dict(progress.seconds), warnings=tuple(progress.warnings))


def check_outputs(job: Job) -> None:
    """Refuse outputs that could not be written, or that would replace an input or each other.

    Raises:
        JobError: names the file, the rule and the next step.
        OutputExists: when a file is there and overwriting was not allowed.
    """
    taken = {Path(name).resolve(): "an input" for name in job.inputs}
    for name, what in (
        (job.output, "the output"),
        (job.probabilities, "the probabilities"),
        (job.preview, "the preview"),
    ):
        if name is None:
            continue
        path = Path(name)
        if path.resolve() in taken:
            msg = f"{path} is {taken[path.resolve()]} and {what} at once; choose another name"
            raise JobError(msg)
        taken[path.resolve()] = what
        if what == "the preview":
            if path.suffix.lower() != ".png":
                msg = f"{path}: a preview's name ends in .png, got {path.name!r}; choose such a name"
                raise JobError(msg)
            check_target(path, overwrite=job.overwrite)
        else:
            check_writable(path, overwrite=job.overwrite)
    if job.probabilities is not None and job.probabilities.lower().endswith(".seg.nrrd"):
        msg = f"{job.probabilities}: probabilities are an image, not segments; choose .nrrd, .nii.gz or .mha"
        raise JobError(msg)


def _read(job: Job, manifest: ModelManifest, progress: ProgressReporter) -> list[Image]:
    """Read every input and pass its warnings on; refuse a number of inputs the model does not take."""
    readings = []
    for name in job.inputs:
        reading = read_image(Path(name), frame=job.frame)
        for warning in reading.warnings:
            progress.warn(warning)
        readings.append(reading.image)
    found, wanted = sum(image.channel_count for image in readings), len(manifest.channels)
    if found != wanted:
        names = ", ".join(channel.name for channel in manifest.channels)
        files = ", ".join(job.inputs) or "no file"
        msg = f"{files}: {manifest.model_id} takes {wanted} channel(s) ({names}), got {found}; give one file a channel"
        raise ImageError(msg) if job.inputs else JobError(msg)
    return readings


def _check_grid(job: Job, image: Image) -> None:
    """Refuse a format that cannot hold the input's grid, before the long part begins."""
    for name in (job.output, job.probabilities):
        if name is not None:
            check_writable(Path(name), overwrite=job.overwrite, affine=image.affine)


def _write(job: Job, result: Segmentation, progress: ProgressReporter) -> tuple[str, ...]:
    """Write all outputs under temporary names, then let them appear together."""
    outputs: Sequence[str] = [name for name in (job.output, job.probabilities, job.preview) if name is not None]
    with replacing_all([Path(name) for name in outputs], overwrite=job.overwrite) as together:
        temporary = dict(zip(outputs, together, strict=True))
        write_segmentation(temporary[job.output], result.labels, result.specs)
        if job.probabilities is not None and result.probabilities is not None:
            write_image(temporary[job.probabilities], result.probabilities)
        if job.preview is not None:
            from medseg.jobs.preview import draw  # SciPy and Pillow, for those who want a picture

            picture = draw.draw_preview(result.image, result.labels, result.specs)
            picture.save(temporary[job.preview], format="PNG")
        progress.stop_if_asked()
    return tuple(outputs)

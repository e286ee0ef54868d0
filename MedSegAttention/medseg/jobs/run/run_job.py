"""A job as the command, a batch and Slicer's worker send it: its files go down the path of every case."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.bundles.weights import load_network
from medseg.inference.forecast import Forecast
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.progress import IsCancelled, OnEvent, ignore_event, never
from medseg.jobs.run.results import Outputs, Segmentation
from medseg.jobs.run.segment import forecast_case, segment_case
from medseg.spec.job import Job


def run_job(
    job: Job,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
    *,
    load: Callable[[Bundle], nn.Module] = load_network,
    engines: KeptEngines | None = None,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Segmentation:
    """Read, segment and write one case; arguments and errors as of ``segment_case``."""
    return segment_case(
        job.inputs,
        _bundle(job),
        job.options,
        outputs=Outputs(
            labels=Path(job.output),
            probabilities=None if job.probabilities is None else Path(job.probabilities),
            preview=None if job.preview is None else Path(job.preview),
            measures=None if job.measures is None else Path(job.measures),
            overwrite=job.overwrite,
        ),
        frame=job.frame,
        modality=job.modality,
        load=load,
        engines=engines,
        on_event=on_event,
        cancelled=cancelled,
        on_forecast=on_forecast,
    )


def forecast_job(job: Job) -> Forecast:
    """Say what a job will take on this computer: its inputs are read, nothing is computed.

    Raises:
        MedSegError: one of its kinds, for what ``run_job`` would refuse too.
    """
    wants = job.probabilities is not None
    return forecast_case(job.inputs, _bundle(job), job.options, frame=job.frame, probabilities=wants)


def _bundle(job: Job) -> Bundle:
    return open_bundle(job.model if job.model_folder is None else job.model_folder)

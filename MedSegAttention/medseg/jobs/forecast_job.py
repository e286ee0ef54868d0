"""What a job will take, from its files: the first input is read, nothing is computed."""

from pathlib import Path

from medseg.bundles.catalogue import find_bundle
from medseg.inference.device import choose_device
from medseg.inference.forecast import Forecast, forecast
from medseg.io.read import read_image
from medseg.spec.job import Job


def forecast_job(job: Job) -> Forecast:
    """Say what a job will take on this computer.

    Raises:
        MedSegError: one of its kinds, for what ``run_job`` would refuse too.
    """
    bundle = find_bundle(job.model)
    image = read_image(Path(job.inputs[0]), frame=job.frame).image
    return forecast(
        image.shape,
        image.affine,
        bundle.manifest,
        job.options,
        auto_device=choose_device(job.options.device).type,
        weights_mb=bundle.weights_path.stat().st_size / 2**20,
        voxel_bytes=image.array.dtype.itemsize,
        probabilities=job.probabilities is not None,
    )

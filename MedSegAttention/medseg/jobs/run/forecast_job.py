"""What a job will take, from its files: the first input is read, nothing is computed."""

from pathlib import Path

from medseg.bundles.catalogue import Bundle, find_bundle
from medseg.imaging.image import Image
from medseg.inference.device import choose_device
from medseg.inference.forecast import Forecast, forecast
from medseg.inference.network_memory import has_openvino
from medseg.io.read import read_image
from medseg.spec.job import Job


def forecast_job(job: Job) -> Forecast:
    """Say what a job will take on this computer.

    Raises:
        MedSegError: one of its kinds, for what ``run_job`` would refuse too.
    """
    bundle = find_bundle(job.model)
    return forecast_case(job, bundle, read_image(Path(job.inputs[0]), frame=job.frame).image)


def forecast_case(job: Job, bundle: Bundle, image: Image) -> Forecast:
    """Say the same where the first input has been read.

    Args:
        job: what is asked for.
        bundle: its model.
        image: its first input.
    """
    weights = bundle.weights_path  # whoever loads them says it if they are missing
    return forecast(
        image.shape,
        image.affine,
        bundle.manifest,
        job.options,
        auto_device=choose_device(job.options.device).type,
        weights_mb=weights.stat().st_size / 2**20 if weights.is_file() else 0.0,
        voxel_bytes=image.array.dtype.itemsize,
        probabilities=job.probabilities is not None,
        openvino=has_openvino(),
    )

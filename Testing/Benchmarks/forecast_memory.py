"""How well the forecast of memory holds: a child process does each job, and its peak is compared.

Run with ``python Testing/Benchmarks/forecast_memory.py`` on Linux; a random network, so only the memory means anything.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medseg.bundles.write import write_bundle
from medseg.imaging.image import Image
from medseg.inference.forecast import forecast
from medseg.io.write import write_image
from medseg.networks import build_network
from medseg.spec.job import Job, Options
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest, PostprocessRule
from medseg.spec.wire import encode_job

CHILD = """
import resource, sys
from pathlib import Path
from medseg.jobs.run_job import run_job
from medseg.spec.wire import decode_job
run_job(decode_job(Path(sys.argv[1]).read_bytes()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
CASES = (  # voxels, spacing of the image in mm, labels, spacing of the model, tidied, probabilities
    ((64, 64, 64), 1.0, 3, None, False, False),
    ((256, 256, 200), 1.0, 3, None, False, False),
    ((256, 256, 200), 1.0, 3, None, True, False),
    ((256, 256, 200), 1.0, 20, None, False, False),
    ((256, 256, 200), 1.0, 20, None, False, True),
    ((200, 200, 150), 1.5, 20, (1.0, 1.0, 1.0), False, False),
    ((300, 300, 200), 0.5, 3, (1.0, 1.0, 1.0), False, False),
)
OPTIONS = Options(device="cpu", overlap=0.0)


def main() -> None:
    """Print a table in MiB."""
    print(f"{'voxels':>16}{'labels':>8}{'forecast':>10}{'measured':>10}{'ratio':>8}")
    for shape, spacing, labels, model_spacing, tidies, probabilities in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            manifest = write_random_bundle(folder, labels, model_spacing, tidies=tidies)
            affine = np.diag([spacing, spacing, spacing, 1.0])
            noise = np.random.default_rng(0).integers(-100, 400, shape, dtype=np.int16)
            write_image(folder / "in.nii", Image(noise[None], affine))
            job = Job(inputs=(str(folder / "in.nii"),), model=manifest.model_id, output=str(folder / "out.nii"))
            job = replace(job, options=OPTIONS, probabilities=str(folder / "p.nii") if probabilities else None)
            expected = forecast(shape, affine, manifest, OPTIONS, probabilities=probabilities).memory_mb
            measured = peak_mb(folder, job)
        size = " x ".join(map(str, shape))
        print(f"{size:>16}{labels:8}{expected:10}{measured:10}{expected / measured:8.2f}", flush=True)


def peak_mb(folder: Path, job: Job) -> int:
    """Largest resident memory of a process that does a job."""
    (folder / "job.json").write_text(encode_job(job), encoding="ascii")
    command = [sys.executable, "-c", CHILD, str(folder / "job.json")]
    environment = {**os.environ, "MEDSEG_MODELS": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, encoding="utf-8")
    return int(json.loads(done.stdout))


def write_random_bundle(
    folder: Path, label_count: int, spacing_mm: tuple[float, float, float] | None, *, tidies: bool
) -> ModelManifest:
    """Write a small network with so many labels."""
    organ = Code("SCT", "113343008", "Organ")
    arguments = {"label_count": label_count, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]}
    manifest = ModelManifest(
        model_id="random",
        title="Random",
        version="1.0.0",
        description="Random weights",
        network="ultralight_unet",
        arguments=arguments,
        labels=tuple(
            LabelSpec(value=n, name=f"part {n}", color=(n, 0, 0), category=organ, type=organ)
            for n in range(1, label_count)
        ),
        channels=(ChannelSpec(name="CT", modality="CT"),),
        spacing_mm=spacing_mm,
        intensity=IntensityRule(kind="zscore"),
        window_shape=(64, 64, 64),
        postprocess=PostprocessRule(keep_largest=tidies),
        anatomy="none",
        intended_use="none",
        licence="Apache-2.0",
        authors="none",
        training_data="none",
    )
    torch.manual_seed(0)
    write_bundle(folder / "random", manifest, build_network(manifest.network, **arguments).eval(), licence_text="-\n")
    return manifest


if __name__ == "__main__":
    main()

"""How soon a worker computes, cold and warm, and how soon it stops when it is told to, stage by stage.

Run with ``python Testing/Benchmarks/warm_worker.py [model id]``; noise of one window is segmented, and for the cancels
a volume of 256 x 256 x 256 fine voxels.
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import Event, Finished, Progress, Using
from medseg.spec.job import Job, Options

LIMIT_S, CANCEL_LIMIT_S = 0.5, 2.0


def main() -> None:
    """Print two tables."""
    model = sys.argv[1] if len(sys.argv) > 1 else "hippocampus-ultralight3d"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"seconds from the request to ... ({model}; the limit for a warm worker is {LIMIT_S} s)")
        print(f"{'run':8}{'windows begin':>15}{'first windows done':>20}{'finished':>10}")
        with WorkerProcess() as worker:
            job = small_job(folder, model)
            first, *others = (first_signs(worker, job) for _ in range(6))
            print("cold    " + shown(first))
            for row in others:
                print("warm    " + shown(row))
        print(f"\nseconds from Cancel to the end of the job, and whether the worker lives (limit {CANCEL_LIMIT_S} s)")
        large = large_job(folder, model)
        with WorkerProcess() as worker:
            for stage in ("read", "preprocess", "windows", "restore"):
                seconds = cancelled_in(worker, large, stage)
                print(f"{stage:12}{seconds:6.2f}  {'warm' if worker.pid is not None else 'killed'}")


def small_job(folder: Path, model: str) -> Job:
    """One window of noise at the model's own spacing."""
    manifest = find_bundle(model).manifest
    noise = np.random.default_rng(0).normal(100, 20, (1, *manifest.window_shape)).astype(np.float32)
    path = folder / "small.nii"
    write_image(path, Image(noise, np.diag([*(manifest.spacing_mm or (1.0, 1.0, 1.0)), 1.0])), overwrite=True)
    return Job(inputs=(str(path),), model=model, output=str(folder / "labels.nii"), overwrite=True)


def large_job(folder: Path, model: str) -> Job:
    """Seconds of work before, in and after the network."""
    noise = np.random.default_rng(0).integers(0, 900, (1, 256, 256, 256), dtype=np.int16)
    path = folder / "large.nii"
    write_image(path, Image(noise, np.diag([0.3, 0.3, 0.3, 1.0])))
    job = small_job(folder, model)
    return replace(job, inputs=(str(path),), options=Options(overlap=0.0, mirror=False))


def first_signs(worker: WorkerProcess, job: Job) -> tuple[float, float, float]:
    """Seconds until the windows begin, until some are done, until everything is."""
    begun = time.perf_counter()
    times: dict[str, float] = {}
    for event in worker.run(job):
        if (sign := sign_of(event)) is not None:
            times.setdefault(sign, time.perf_counter() - begun)
    return times["windows"], times["using"], times["finished"]


def sign_of(event: Event) -> str | None:
    """What an event is a sign of."""
    if isinstance(event, Progress) and event.stage == "windows":
        return "windows"
    return {Using: "using", Finished: "finished"}.get(type(event))  # type: ignore[call-overload,no-any-return]


def cancelled_in(worker: WorkerProcess, job: Job, stage: str) -> float:
    """Seconds from a cancel word, sent when a stage begins, to the last event."""
    events = worker.run(job)
    for event in events:
        if isinstance(event, Progress) and event.stage == stage:
            break
    begun = time.perf_counter()
    worker.cancel()
    exhaust(events)
    return time.perf_counter() - begun


def exhaust(events: Iterable[Event]) -> None:
    """Hear the rest."""
    for _ in events:
        continue


def shown(row: tuple[float, float, float]) -> str:
    """One line of the table."""
    return f"{row[0]:15.2f}{row[1]:20.2f}{row[2]:10.2f}"


if __name__ == "__main__":
    main()

"""CPU seconds until something is there: a page of help, the first window of a cold worker, that of a warm one.

Run with ``python Testing/Benchmarks/start_up.py [model id]`` on Linux or macOS; medians of several runs, and for the
cold worker the share of ``import torch``, which is measured in turn with it.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import Progress
from medseg.spec.job import Job, Options

RUNS = 5
HELP_LIMIT_S, WARM_LIMIT_S = 0.3, 0.5


def main() -> None:
    """Print a table."""
    model = sys.argv[1] if len(sys.argv) > 1 else "hippocampus-ultralight3d"
    with tempfile.TemporaryDirectory() as name:
        job = one_window(Path(name), model)
        rows = [(help_seconds(), torch_seconds(), *worker_seconds(job)) for _ in range(RUNS)]
    helped, torch, cold, warm = zip(*rows, strict=True)
    print(f"CPU seconds, median (least to most) of {RUNS} runs")
    print(shown("medseg --help", helped) + f"   limit {HELP_LIMIT_S}")
    print(shown("import torch", torch))
    print(shown("cold worker, first window done", cold) + f"   of that import torch {median(torch) / median(cold):.0%}")
    print(shown("warm worker, first window done", warm) + f"   limit {WARM_LIMIT_S}")


def one_window(folder: Path, model: str) -> Job:
    """One window of noise at the model's own spacing, seen once."""
    manifest = find_bundle(model).manifest
    noise = np.random.default_rng(0).normal(100, 20, (1, *manifest.window_shape)).astype(np.float32)
    write_image(folder / "in.nii", Image(noise, np.diag([*(manifest.spacing_mm or (1.0, 1.0, 1.0)), 1.0])))
    options = Options(device="cpu", mirror=False)
    inputs, output = (str(folder / "in.nii"),), str(folder / "out.nii")
    return Job(inputs=inputs, model=model, output=output, options=options, overwrite=True)


def help_seconds() -> float:
    """What ``medseg --help`` takes."""
    return child_seconds(lambda: subprocess.run([sys.executable, "-m", "medseg", "--help"], capture_output=True))


def torch_seconds() -> float:
    """What a Python takes to import torch."""
    return child_seconds(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True))


def child_seconds(run: Callable[[], object]) -> float:
    """User and system time of the children that a call starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def worker_seconds(job: Job) -> tuple[float, float]:
    """Until the first window is done, in a new process and in the same one's next job."""
    with WorkerProcess() as worker:
        cold = until_first_window(worker, job)
        return cold, until_first_window(worker, job)


def until_first_window(worker: WorkerProcess, job: Job) -> float:
    """User and system time of the worker in a job, up to its first window."""
    before = 0.0 if worker.pid is None else process_seconds(worker.pid)
    seconds = None
    for event in worker.run(job):
        is_first = isinstance(event, Progress) and event.stage == "windows" and event.done > 0
        if is_first and seconds is None and worker.pid is not None:
            seconds = process_seconds(worker.pid) - before
    if seconds is None:
        msg = "the worker told of no window; run the job with medseg segment to see why"
        raise RuntimeError(msg)
    time.sleep(0.2)  # what it does after a job is not part of the next one
    return seconds


def process_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def shown(what: str, seconds: tuple[float, ...]) -> str:
    """One line."""
    return f"{what:32}{median(seconds):7.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()

"""How long voxels take from one process to the other through the job folder, at 512 x 512 x 300.

Run with ``python Testing/Benchmarks/hand_over.py``. Best of three; the files are in the system's cache when they are
read, as they are when the other process has just written them. Memory that was never used costs as much again.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.desktop.worker.job_folder import Request, read_answer, read_probabilities, write_request
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image, write_segmentation
from medseg.spec.job import Options
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest

SHAPE, COUNT, SCORES = (512, 512, 300), 20, 4


def main() -> None:
    """Print a table."""
    manifest = twenty_labels()
    rng = np.random.default_rng(0)
    scan = Image(rng.integers(-1000, 1000, SHAPE[::-1], dtype=np.int16).transpose(2, 1, 0)[None])  # as VTK has it
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)  # as the worker has it
    labels[:, 100:400, 100:400, 50:250] = 1 + np.arange(300)[:, None, None] // 15
    scores = rng.random((SCORES, *SHAPE), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = write_request(folder, [scan], manifest, Options(), probabilities=True)
        output, probabilities = Path(request.job.output), Path(str(request.job.probabilities))
        steps: tuple[tuple[str, int, Callable[[], object]], ...] = (
            ("input, int16: Slicer writes", 2, lambda: write_image(folder / "input0.nii", scan, overwrite=True)),
            ("input, int16: worker reads and checks", 2, lambda: read_image(folder / "input0.nii")),
            ("labels, uint8: worker writes", 1,
             lambda: write_segmentation(output, Image(labels), manifest.labels, overwrite=True)),
            ("labels, uint8: Slicer reads and checks", 1, lambda: read_answer(request, scan)),
            (f"{SCORES} probabilities, float32: worker writes", 4 * SCORES,
             lambda: write_image(probabilities, Image(scores), overwrite=True)),
            ("1 probability, float32: Slicer reads", 4, lambda: read_one(request, scan)),
        )  # fmt: skip
        voxels = SHAPE[0] * SHAPE[1] * SHAPE[2]
        for title, size, step in steps:
            seconds = min(timed(step) for _ in range(3))
            print(f"{title:46}{seconds:6.2f} s{voxels * size / 1e6 / seconds:8.0f} MB/s")


def read_one(request: Request, scan: Image) -> NDArray[np.float32]:
    """One of the probabilities, in memory of its own."""
    every = read_probabilities(request, scan)
    assert every is not None
    return np.array(every.array[1])


def timed(step: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def twenty_labels() -> ModelManifest:
    """A model's description, without a model."""
    organ = Code("SCT", "113343008", "Organ")
    return ModelManifest(
        model_id="twenty",
        title="Twenty",
        version="1",
        description="Only to name labels",
        network="ultralight_unet",
        labels=tuple(
            LabelSpec(value=n, name=f"part {n}", color=(n, 0, 0), category=organ, type=organ)
            for n in range(1, COUNT + 1)
        ),
        channels=(ChannelSpec(name="CT", modality="CT"),),
        intensity=IntensityRule(kind="none"),
        window_shape=(64, 64, 64),
        anatomy="none",
        intended_use="none",
        licence="Apache-2.0",
        authors="none",
        training_data="none",
    )


if __name__ == "__main__":
    main()

"""Milliseconds and memory of one stroke in large volumes."""

import time
import tracemalloc

import numpy as np

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.spec.stroke import Stroke

SIZES = (((256, 256, 256), (1.0, 1.0, 1.0)), ((512, 512, 300), (0.7, 0.7, 1.0)))
CLICK, LONG = 1, 40  # voxels of a stroke


def measure_cost(rounds: int = 7) -> list[dict[str, object]]:
    """Median processor time of a stroke of so many voxels, and the most memory it took beside the volumes."""
    found = []
    for shape, spacing in SIZES:
        random = np.random.default_rng(0)
        labels = np.zeros(shape, np.uint8)
        labels[shape[0] // 2 :] = 1
        image = random.standard_normal(shape, dtype=np.float32)
        probabilities = np.empty((2, *shape), np.float16)
        probabilities[1] = np.where(labels, 0.8, 0.2)
        probabilities[0] = 1 - probabilities[1]
        affine = np.diag([*spacing, 1.0])
        corrector = Corrector(Grid(labels=labels, affine=affine, image=image, probabilities=probabilities))
        for length in (CLICK, LONG):
            seconds, most = [], 0
            for number in range(rounds):
                place = np.array([shape[0] // 2 - 4, *random.integers(60, np.array(shape[1:]) - 60)])
                voxels = [place + np.array([0, step, 0]) for step in range(length)]
                points = tuple(tuple(float(x) for x in voxel * spacing) for voxel in voxels)
                stroke = Stroke(label="label 1", points=points, radius_mm=1.0)
                if number == 0:
                    tracemalloc.start()
                begun = time.process_time()
                corrector.apply(stroke, 1)
                seconds.append(time.process_time() - begun)
                if number == 0:  # slower while memory is counted: not among the times
                    most = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                    seconds.pop()
            found.append(
                {
                    "shape": shape,
                    "spacing": spacing,
                    "voxels": length,
                    "ms": 1000 * float(np.median(seconds)),
                    "most_ms": 1000 * max(seconds),
                    "mib": most / 2**20,
                }
            )
    return found

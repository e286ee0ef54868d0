"""How long a result of 20 labels at 512 x 512 x 300 keeps Slicer's main thread busy: read, shown, measured, in 3D.

Run with a Python that has slicer-core: ``python Testing/Benchmarks/import_segments.py``. The answer file is in the
system's cache when it is read, as it is when the worker has just written it.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from medseg.desktop.scene.results import show_labels
from medseg.desktop.worker.job_folder import Request, read_answer
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.mrml.agreement import dice_steps
from medseg.mrml.probabilities import empty_volume, entropy_steps, fill_steps
from medseg.mrml.statistics import statistics_steps
from medseg.mrml.thresholds import ThresholdEdit
from medseg.mrml.views import surface_steps
from medseg.spec.job import Job
from medseg.spec.manifest import Code, LabelSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mrml_nodes import add_entropy_volume, add_probability_volumes, volume_node_from_image

SHAPE, COUNT, LIMIT_S = (512, 512, 300), 20, 1.0


def main() -> None:
    """Print a table: wall and processor seconds, of steps the longest."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    affine = np.diag([-0.8, -0.8, 1.5, 1.0])
    source = Image(np.zeros((1, *SHAPE), dtype=np.int16, order="F"), affine)
    source.array[...] = np.arange(SHAPE[2])
    volume = volume_node_from_image(scene, source, "CT")
    say(f"{COUNT} labels, {SHAPE} voxels")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.nii"
        write_image(path, Image(balls(), affine))
        request = Request(Path(folder), Job(inputs=("input0.nii",), model="benchmark", output=str(path)))
        labels, read = timed("read the answer file", lambda: read_answer(request, source))
    node, shown = timed("put the segments into the scene", lambda: show_labels(scene, labels, specs(), volume).node)
    verdict = "within" if read + shown < LIMIT_S else "NOT within"
    say(f"{'together':42} {read + shown:8.3f} s wall   {verdict} {LIMIT_S:.0f} s")
    joining(scene, node, labels, volume)
    stepped("statistics, a segment", lambda: statistics_steps(node, volume))
    stepped("Dice with itself, a segment", lambda: dice_steps(node, node))
    stepped("closed surface, a segment", lambda: surface_steps(node))
    probabilities(scene)


def joining(scene: Any, node: Any, labels: Image, volume: Any) -> None:
    """The same labels once more, a little further: into the segmentation that is there, and out again."""
    moved = Image(np.asfortranarray(np.roll(labels.array[0], 30, axis=0))[None], labels.affine)

    def join(**how: Any) -> Any:
        return show_labels(scene, moved, specs(), volume, target=node, **how).step

    for name, how in (
        ("replace the segments", {"mode": "replace"}),
        ("add, and overwrite all others", {"overlap": "all"}),
    ):
        step, joined = timed(name, lambda how=how: join(**how))
        _, back = timed("undo", step.toggle)
        _, again = timed("redo", step.toggle)
        step.toggle()
        slowest = max(joined, back, again)
        verdict = "within" if slowest < LIMIT_S else "NOT within"
        say(f"{'slowest of these':42} {slowest:8.3f} s wall   {verdict} {LIMIT_S:.0f} s")


def probabilities(scene: Any) -> None:
    """The slider on 256^3 voxels, and the volumes it needs."""
    size = 256
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    one = np.asfortranarray(np.broadcast_to(ramp, (size, size, size)))
    layers = Image(np.stack([(1 - one).T, one.T]).transpose(0, 3, 2, 1))
    many = np.broadcast_to(one.T, (COUNT, size, size, size)).transpose(0, 3, 2, 1)
    labels = Image((one > 0.5).astype(np.uint8, order="F")[None])
    volume = volume_node_from_image(scene, labels, "scan")
    node = show_labels(scene, labels, specs()[:1], volume).node
    say(f"probabilities, {size}^3 voxels")
    maps, _ = timed("one probability volume", lambda: add_probability_volumes(scene, layers, specs()[:1], volume))
    timed("entropy of two labels", lambda: add_entropy_volume(scene, layers, volume))
    stepped("  in steps, of 20 labels", lambda: entropy_steps(many, np.empty(one.shape, np.float32, order="F")))
    stepped("  a volume in steps", lambda: fill_steps(one, empty_volume(one.shape)))
    edit = ThresholdEdit(node, "Segment_1", maps[0])
    timed("first threshold", lambda: edit.apply(0.4, is_final=False))
    timed("next threshold", lambda: edit.apply(0.6, is_final=False))
    timed("restore", edit.restore)


def balls() -> np.ndarray:
    """Labels ``(1, I, J, K)``: twenty balls of different sizes."""
    array = np.zeros(SHAPE, dtype=np.uint8, order="F")
    centres = [(64 + 96 * (n % 5), 80 + 115 * (n // 5 % 4), 40 + 11 * n) for n in range(COUNT)]
    for value, centre in enumerate(centres, start=1):
        radius = 20 + value
        box = tuple(slice(max(0, at - radius), at + radius + 1) for at in centre)
        grid = np.ogrid[box]
        inside = sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) <= radius**2
        array[box][inside] = value
    return array[None]


def specs() -> list[LabelSpec]:
    """As many labels, all of them tissue."""
    tissue = Code("SCT", "85756007", "Tissue")
    return [
        LabelSpec(value=n, name=f"ball {n}", color=(9 * n, 100, 250 - 9 * n), category=tissue, type=tissue)
        for n in range(1, COUNT + 1)
    ]


def say(line: str) -> None:
    """One line of the table."""
    sys.stdout.write(f"{line}\n")


def timed(name: str, call: Callable[[], Any]) -> tuple[Any, float]:
    """Run and print."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say(f"{name:42} {wall:8.3f} s wall {cpu:8.3f} s CPU")
    return answer, wall


def stepped(name: str, start: Callable[[], Iterator[Any]]) -> None:
    """Draw an iterator to its end and print the longest step."""
    walls, steps, cpu = [], start(), time.process_time()
    while True:
        begin = time.perf_counter()
        if next(steps, None) is None:
            break
        walls.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    say(f"{name:42} {max(walls):8.3f} s wall {cpu / len(walls):8.3f} s CPU  (longest wall, mean CPU)")


if __name__ == "__main__":
    main()

"""Both hippocampi out of whole heads with an expert's labels: Dice, volumes, boxes and the time that locating takes.

python Testing/Benchmarks/whole_heads.py FOLDER [--model ID] [--table FILE.md] [--cases NAME ...] [--others FILE ...]

FOLDER holds ``NAME_t1_brain.nii.gz`` and ``NAME_labels.nii.gz`` (Neuromorphometrics numbers: 48 is the left
hippocampus, 47 the right one). ``--others`` are scans without labels: what was found in them, and what was said.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.bundles.catalogue import find_bundle
from medseg.io.read import read_labels
from medseg.jobs.run.loaded_networks import LoadedNetworks
from medseg.jobs.run.results import Segmentation
from medseg.jobs.run.segment import segment_case
from medseg.spec.errors import MedSegError
from medseg.spec.events import Event, Progress
from medseg.spec.job import Options

SIDES = {"left": 48, "right": 47}
PER_SIDE = 2  # segments of one side


@dataclass
class Clock:
    """Processor seconds of the stage "locate"."""

    begun: float = 0.0
    seconds: float = 0.0

    def hear(self, event: Event) -> None:
        """Take an event of the run."""
        if isinstance(event, Progress) and event.stage == "locate":
            if event.done == 0:
                self.begun = time.process_time()
            else:
                self.seconds = time.process_time() - self.begun


def run(path: Path, model: str, networks: LoadedNetworks) -> tuple[Segmentation, float]:
    """Segment one scan; also the processor seconds that locating took."""
    clock = Clock()
    options = Options(device="cpu")
    found = segment_case([path], find_bundle(model), options, load=networks.load, on_event=clock.hear)
    return found, clock.seconds


def side_rows(found: Segmentation, labels: Path) -> list[tuple[float, float, float, float]]:
    """Of each side Dice, millilitres found and by the expert, and the share of the expert's inside the box."""
    truth = read_labels(labels)
    rows = []
    for number, value in enumerate(SIDES.values()):
        expert = truth.array[0] == value
        first = 1 + PER_SIDE * number
        own = (found.labels.array[0] >= first) & (found.labels.array[0] < first + PER_SIDE)
        dice = 2 * (own & expert).sum() / (own.sum() + expert.sum())
        box = found.boxes[number]
        points = np.c_[np.argwhere(expert), np.ones(expert.sum())] @ truth.affine.T @ np.linalg.inv(box.to_patient).T
        inside = ((points[:, :3] >= box.low_mm) & (points[:, :3] <= box.high_mm)).all(axis=1).mean()
        rows.append((float(dice), truth.volume_ml(own.sum()), truth.volume_ml(expert.sum()), float(inside)))
    return rows


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="hippocampus-ultralight3d")
    parser.add_argument("--cases", nargs="*")
    parser.add_argument("--others", nargs="*", type=Path, default=[])
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    networks = LoadedNetworks()
    names = given.cases
    if names is None:
        names = sorted(path.name.removesuffix("_labels.nii.gz") for path in given.folder.glob("*_labels.nii.gz"))
    lines = [
        "| scan | Dice left | Dice right | ml left (expert) | ml right (expert) | inside the boxes | locating, s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    scored = []
    for name in names:
        found, seconds = run(given.folder / f"{name}_t1_brain.nii.gz", given.model, networks)
        rows = side_rows(found, given.folder / f"{name}_labels.nii.gz")
        scored.append([*(row[0] for row in rows), min(row[3] for row in rows), seconds])
        volumes = [f"{row[1]:.2f} ({row[2]:.2f})" for row in rows]
        dice = [f"{row[0]:.3f}" for row in rows]
        inside = f"{100 * scored[-1][2]:.1f} %"
        lines.append(f"| {' | '.join([name, *dice, *volumes, inside, f'{seconds:.1f}'])} |")
        print(lines[-1], *found.warnings, sep="\n", flush=True)
    if scored:
        left, right, inside, seconds = np.array(scored).T
        mean = f"| mean | {left.mean():.3f} | {right.mean():.3f} |  |  | {100 * inside.min():.1f} % at least |"
        lines.append(f"{mean} {seconds.mean():.1f}, {seconds.max():.1f} at most |")
    others = [describe(path, given.model, networks) for path in given.others]
    if others:
        lines += [
            "",
            "| scan without labels | ml left | ml right | what was said |",
            "| --- | --- | --- | --- |",
            *others,
        ]
    print("\n".join(["", *lines]))
    if given.table:
        given.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(path: Path, model: str, networks: LoadedNetworks) -> str:
    """One row about a scan that nobody labelled."""
    name = f"{path.parent.name}/{path.name}"
    try:
        found, _ = run(path, model, networks)
    except MedSegError as error:
        row = f"| {name} |  |  | refused: {error} |"
    else:
        volumes = [row.volume_ml for row in found.measures]
        sides = [f"{sum(volumes[n : n + PER_SIDE]):.2f}" for n in range(0, len(volumes), PER_SIDE)]
        row = f"| {' | '.join([name, *sides, '; '.join(found.warnings) or 'nothing'])} |"
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()

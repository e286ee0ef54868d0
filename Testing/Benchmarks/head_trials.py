"""Heads that were tilted, cut, padded and stored otherwise: each is located or refused, and never missed in silence.

python Testing/Benchmarks/head_trials.py FOLDER NAME... [--table FILE.md]

FOLDER holds scans and labels as ``whole_heads.py`` takes them. No network runs: what counts is whether the expert's
hippocampi lie in their boxes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.io.read import read_image, read_labels
from medseg.jobs.run.located import locate
from medseg.jobs.run.progress import ProgressReporter
from medseg.spec.errors import MedSegError

SIDES = (48, 47)  # left, right
ENOUGH = 0.98  # share of a hippocampus that must lie in its box
TURNS = {"chin": 0, "ear to shoulder": 1, "to the side": 2}


def trials(scan: Image, labels: Image) -> Iterator[tuple[str, Image, Image]]:
    """Name, scan and labels of each trial; both are changed alike."""
    yield "as it is", scan, labels
    for name, axis in TURNS.items():
        for degrees in (-30, -15, 15, 30):
            matrix = turned(scan, axis, degrees)
            yield f"{name} {degrees:+d} degrees", *(Image(each.array, matrix @ each.affine) for each in (scan, labels))
    i, j, k = scan.shape
    rows = np.argsort(np.abs(scan.affine[:3, :3]).argmax(axis=0))  # voxel axes in the order R, A, S
    up = int(rows[2])
    size = scan.shape[up]
    for name, low, high in (
        ("without the lower third", 1 / 3, 1.0),
        ("without the upper third", 0.0, 2 / 3),
        ("the lower half alone", 0.0, 0.5),
        ("the upper half alone", 0.5, 1.0),
    ):
        low, high = (low, high) if scan.affine[2, up] > 0 else (1 - high, 1 - low)
        yield name, *(cut(each, up, int(low * size), int(high * size)) for each in (scan, labels))
    across = int(rows[0])
    yield "one half alone", *(cut(each, across, 0, scan.shape[across] // 2) for each in (scan, labels))
    yield "100 mm of air below", *(padded(each, up, 100) for each in (scan, labels))
    yield "axes in another order, two reversed", *map(stored_otherwise, (scan, labels))
    yield (
        "4 mm slices",
        *map(thick, (scan, labels)),
    )
    noise = np.random.default_rng(0).normal(0, 1, (1, i, j, k)).astype(np.float32)
    yield "noise alone", Image(noise, scan.affine), labels


def turned(image: Image, axis: int, degrees: float) -> np.ndarray:
    """A turn about a body axis through the middle of an image, mm -> mm."""
    angle = np.deg2rad(degrees)
    one, other = [each for each in range(3) if each != axis]
    matrix = np.eye(4)
    matrix[[one, one, other, other], [one, other, one, other]] = [
        np.cos(angle),
        -np.sin(angle),
        np.sin(angle),
        np.cos(angle),
    ]
    middle = (image.affine @ [*((np.array(image.shape) - 1) / 2), 1.0])[:3]
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return matrix


def cut(image: Image, axis: int, first: int, stop: int) -> Image:
    """Some of the slices along an axis."""
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, axis] * first
    return Image(np.take(image.array, range(first, stop), axis=axis + 1), affine)


def padded(image: Image, axis: int, count: int) -> Image:
    """So many slices of air below."""
    begins = image.affine[2, axis] > 0
    widths = [(0, 0)] * 4
    widths[axis + 1] = (count, 0) if begins else (0, count)
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, axis] * (count if begins else 0)
    return Image(np.pad(image.array, widths), affine)


def thick(image: Image) -> Image:
    """Every fourth slice along k."""
    return Image(image.array[..., ::4], image.affine @ np.diag([1, 1, 4, 1]))


def stored_otherwise(image: Image) -> Image:
    """The same anatomy with its axes in another order, two of them backwards."""
    affine = image.affine.copy()
    for axis in (0, 2):
        affine[:3, 3] += affine[:3, axis] * (image.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Image(image.array[:, ::-1, :, ::-1].transpose(0, 3, 1, 2), affine[:, [2, 0, 1, 3]])


def outcome(scan: Image, labels: Image, model: str) -> tuple[str, str]:
    """Located, refused, told or missed, and why."""
    bundle = find_bundle(model)
    progress = ProgressReporter()
    try:
        boxes = locate(scan, bundle, bundle.manifest.locate, progress)
    except MedSegError as error:
        return "refused", str(error).partition(";")[0]
    shares = []
    for box, value in zip(boxes, SIDES, strict=True):
        voxels = np.argwhere(labels.array[0] == value)
        points = np.c_[voxels, np.ones(len(voxels))] @ labels.affine.T @ np.linalg.inv(box.to_patient).T
        inside = ((points[:, :3] >= box.low_mm) & (points[:, :3] <= box.high_mm)).all(axis=1)
        shares.append(inside.mean() if len(inside) else np.nan)
    words = ", ".join(f"{share:.1%}" for share in shares) + " inside"
    if min(shares) >= ENOUGH:
        return "located", words
    return ("told" if progress.warnings else "MISSED"), "; ".join([words, *progress.warnings])


def main() -> None:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--model", default="hippocampus-ultralight3d")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    lines = ["| scan | trial | outcome | details |", "| --- | --- | --- | --- |"]
    for name in given.names:
        scan = read_image(given.folder / f"{name}_t1_brain.nii.gz").image
        labels = read_labels(given.folder / f"{name}_labels.nii.gz")
        for trial, changed, truth in trials(scan, labels):
            lines.append(f"| {name} | {trial} | {' | '.join(outcome(changed, truth, given.model))} |")
            print(lines[-1], flush=True)
    if given.table:
        given.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write docs/reference/dicom-seg.md from what the programs read: python Testing/dicom_page.py; a test runs it too."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dicom_round_trips import (
    ALGORITHM,
    OBLIQUE,
    SPECS,
    STRAIGHT,
    Found,
    by_dcmqi,
    by_highdicom,
    farthest,
    volumes_by_dcmqi,
)
from dicom_series import EVEN_MM, places, write_mr_series
from medseg.imaging.image import Image
from medseg.io.dicom_results.source import MAY_BE_EMPTY, open_source
from medseg.io.dicom_results.write_seg import make_segmentation
from medseg.io.dicom_results.write_sr import make_report
from medseg.io.read import Reading, read_image, read_layers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "dicom-seg.md"
EXACT_MM = 1e-4
EVEN = tuple(EVEN_MM)


@dataclass(frozen=True)
class Kind:
    """A series, and what is drawn in it."""

    title: str
    is_oblique: bool = True
    heights: tuple[float, ...] = EVEN
    shift: float = 0.0
    drawn: str = "two"  # "two" segments and an empty one, "overlap", or "nothing"
    labelmap: bool = False
    drop: tuple[str, ...] = ()
    thickness: float = 2.5

    @property
    def axes(self) -> np.ndarray:
        """Of the slices, ``(2, 3)``."""
        return OBLIQUE if self.is_oblique else STRAIGHT


KINDS = (
    Kind("straight", is_oblique=False),
    Kind("oblique"),
    Kind("oblique, slices twice as thick as their distance", thickness=5.0),
    Kind("oblique, 0.7 x 1.25 x 6 mm", heights=tuple(EVEN_MM * 2.4)),
    Kind("segments that overlap", drawn="overlap"),
    Kind("no voxel in any segment", drawn="nothing"),
    Kind("headers without what may be empty", drop=MAY_BE_EMPTY),
    Kind("label map", labelmap=True),
    Kind("a slice is missing", heights=(0, 2.5, 5, 7.5, 12.5, 15, 17.5)),
    Kind("gantry tilt (warned about)", shift=0.3),
    Kind("uneven slices (warned about)", heights=(0, 2.5, 5, 8.5, 11, 13.5, 16)),
)
PAGE_TEXT = """# DICOM SEG: what other programs read

Written by `Testing/dicom_page.py`, and compared by a test: {tools}, dciodvfy of dicom3tools. Series of 10 x 8 x 7
voxels of 0.7 x 1.25 x 2.5 mm with three segments, one of them without a voxel, made by pydicom with every attribute
that the standard wants. How to write such files: [Results that a hospital can read](../how-to/dicom.md).

Geometry is compared by world position: every voxel centre that a program reads against the position in the header of
its slice; exact is less than 0.0001 mm. Segments are names in their order, codes are type and modifier (side), as
highdicom and dcmqi read them.

{table}

Tilted and uneven series are written with every frame at its true place; what makes a volume of them is the reader, so
`medseg` warns before it runs. This program reads them back exactly beside their series, and refuses uneven ones
alone. A label map is a class of 2024, which dciodvfy of 2022 has not heard of.

## Measurement reports

{report}
"""
HEADINGS = ("series", "highdicom", "dcmqi", "this program", "segments", "codes", "dciodvfy")


def rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Write and read every kind."""
    for number, kind in enumerate(KINDS):
        yield _row(kind, folder / str(number))


def _row(kind: Kind, folder: Path) -> tuple[str, ...]:
    places_mm = places(kind.axes, kind.heights, shift=kind.shift)
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    series = write_mr_series(folder / "series", volume, places_mm, kind.axes, thickness=kind.thickness, drop=kind.drop)
    reading = read_image(series)
    source, array = open_source(reading.sources, reading.image), _drawn(kind, reading.image)
    path = folder / ("labels.labelmap.dcm" if kind.labelmap else "labels.dcm")
    labels = Image(array, reading.image.affine)
    make_segmentation(source, labels, SPECS, ALGORITHM, labelmap=kind.labelmap).save_as(path)
    truth = {spec.name: _true_points(kind, (array == spec.value).any(axis=0)) for spec in SPECS}
    answers = {"highdicom": _read(by_highdicom, path, folder), "dcmqi": _read(by_dcmqi, path, folder)}
    cells = [_geometry(found, truth) for found in answers.values()]
    known = [found for found in answers.values() if isinstance(found, dict)]
    names = [list(found) == [spec.name for spec in SPECS] for found in known]
    codes = [
        all(
            (found[spec.name].type, found[spec.name].modifier)
            == (spec.type.value, "" if spec.type_modifier is None else spec.type_modifier.value)
            for spec in SPECS
        )
        for found in known
    ]
    return (
        kind.title,
        *cells,
        _ours(path, reading, labels),
        "all" if all(names) else "not all",
        "all" if all(codes) else "not all",
        _validated(path),
    )


def _drawn(kind: Kind, grid: Image) -> np.ndarray:
    array = np.zeros((2 if kind.drawn == "overlap" else 1, *grid.shape), np.uint8)
    if kind.drawn == "two":
        array[0, 2:5, 3:6, 1:3], array[0, 6:9, 1:4, 5] = 1, 2
    elif kind.drawn == "overlap":
        array[0, 2:6, 2:6, 1:4], array[1, 4:8, 3:7, 2:5] = 1, 2
    return array


def _true_points(kind: Kind, mask: np.ndarray) -> np.ndarray:
    """Centres of voxels in RAS mm from the positions that the headers of the slices have, not from any affine."""
    start = places(kind.axes, kind.heights, shift=kind.shift)
    voxels = np.argwhere(mask)
    i, j, k = voxels.T
    lps = start[k] + np.outer(i * 1.25, kind.axes[0]) + np.outer(j * 0.7, kind.axes[1])
    return lps * [-1, -1, 1]


def _read(reader: Callable[[Path, Path], dict[str, Found]], path: Path, folder: Path) -> dict[str, Found] | Exception:
    try:
        return reader(path, folder / "out")
    except (RuntimeError, subprocess.CalledProcessError, FileNotFoundError) as error:
        return error


def _geometry(found: dict[str, Found] | Exception, truth: dict[str, np.ndarray]) -> str:
    if isinstance(found, Exception):
        return "refuses"
    off = max(farthest(found[name].points, points) for name, points in truth.items())
    return "exact" if off < EXACT_MM else f"bent: {off:.1f} mm off"


def _ours(path: Path, reading: Reading, labels: Image) -> str:
    """Beside the series: every segment on its voxels."""
    again = read_layers(path, reading)
    same = all(
        np.array_equal((again.array == spec.value).any(axis=0), (labels.array == spec.value).any(axis=0))
        for spec in SPECS
    )
    return "exact" if same else "differs"


def _validated(path: Path) -> str:
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    if "Object Not found" in said or "not found" in said.lower():
        return "does not know label maps"
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    return f"{len(errors)} errors"


def report_line(folder: Path) -> str:
    """The sentence about a measurement report."""
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    reading = read_image(write_mr_series(folder / "report-series", volume, places(OBLIQUE), OBLIQUE))
    source, array = open_source(reading.sources, reading.image), _drawn(KINDS[0], reading.image)
    segments = make_segmentation(source, Image(array, reading.image.affine), SPECS, ALGORITHM)
    volumes = [reading.image.volume_ml(int((array == spec.value).sum())) for spec in SPECS]
    path = folder / "report.dcm"
    make_report(source, segments, volumes, SPECS, ALGORITHM).save_as(path)
    found = volumes_by_dcmqi(path, folder)
    told = ", ".join(f"{found[f'made-up {spec.name}'][1]:.6f}" for spec in SPECS)
    written = ", ".join(f"{volume:.6f}" for volume in volumes)
    return f"Written: {written} mL. Read by dcmqi's `tid1500reader`: {told} mL. dciodvfy: {_validated(path)}."


def page(folder: Path) -> str:
    """The page, from programs that run now."""
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows(folder)))
    tools = f"highdicom {version('highdicom')}, dcmqi {version('dcmqi')} (the reader that 3D Slicer uses)"
    return PAGE_TEXT.format(tools=tools, table=table, report=report_line(folder))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        if shutil.which("dciodvfy") is None:
            sys.exit("dciodvfy is needed: package dicom3tools")
        PAGE.write_text(page(Path(made)), encoding="utf-8")

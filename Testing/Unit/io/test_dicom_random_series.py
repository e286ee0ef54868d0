"""Random series (acquisitions, orders, missing slices, tilts) are a volume each, where their tags say, or refused.

The voxels say where they belong: each slice holds the numbers of its acquisition and of its place. The places are
arithmetic on what was written, and SimpleITK reads back the slices of the volume that was asked for.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medseg.io.itk import quiet_itk
from medseg.io.read import read_image
from medseg.spec.errors import ImageError
from scanner_files import dataset, save

TAGS = {
    "time": lambda a: {"TemporalPositionIdentifier": a + 1},
    "echo": lambda a: {"EchoTime": 3.5 * (a + 1)},
    "b-value": lambda a: {"DiffusionBValue": 500.0 * a},
    "image type": lambda a: {"ImageType": ["ORIGINAL", "PRIMARY", "MPR"[a]]},
    "trigger": lambda a: {"TriggerTime": 40 * a},
    "acquisition": lambda a: {"AcquisitionNumber": a + 3},
    "clock": lambda a: {"AcquisitionTime": f"10{a:02d}00"},
}
SAID = ("lie where another one does", "not several acquisitions", "slice distances vary")
CODE = 1000  # voxels are CODE * acquisition + place


@dataclass(frozen=True)
class Series:
    """How a series is written."""

    acquisitions: int
    places: int
    told_by: str
    numbering: str  # of instances
    shift: float  # mm along the normal from one acquisition to the next
    missing: frozenset[tuple[int, int]]  # acquisition, place
    tilt: float  # mm along the columns a slice
    turn: float  # radians about the patient's length
    names: int  # seed of the order of files


@st.composite
def series(draw):
    acquisitions, places = draw(st.integers(1, 3)), draw(st.integers(4, 7))
    inner = st.tuples(st.integers(0, acquisitions - 1), st.integers(1, places - 2))
    return Series(
        acquisitions,
        places,
        draw(st.sampled_from(sorted(TAGS))),
        draw(st.sampled_from(["on", "restarted", "place by place", "random", "absent"])),
        draw(st.sampled_from([0.0, 0.0, 0.003, 1.0, 0.7])),
        draw(st.frozensets(inner, max_size=1)),
        draw(st.sampled_from([0.0, 0.0, 0.65])),
        draw(st.sampled_from([0.0, 0.4])),
        draw(st.integers(0, 99)),
    )


def axes_of(made):
    row = np.array([np.cos(made.turn), np.sin(made.turn), 0])
    column = np.array([-np.sin(made.turn), np.cos(made.turn), 0])
    return row, column, np.cross(row, column)


def place_of(made, acquisition, place):
    _, column, normal = axes_of(made)
    return 2.0 * place * normal + made.tilt * place * column + made.shift * acquisition * normal


def number_of(made, acquisition, place, rng):
    return {
        "on": acquisition * made.places + place + 1,
        "restarted": place + 1,
        "place by place": place * made.acquisitions + acquisition + 1,
        "random": int(rng.integers(1, 10_000)),
        "absent": None,
    }[made.numbering]


def write(made, folder, *, told):
    rng = np.random.default_rng(made.names)
    row, column, _ = axes_of(made)
    names = rng.permutation(made.acquisitions * made.places)
    for acquisition in range(made.acquisitions):
        for place in range(made.places):
            if (acquisition, place) in made.missing:
                continue
            pixels = np.full((4, 3), CODE * acquisition + place, np.int16)
            pixels[0, 0] += 500  # not constant
            tags = TAGS[made.told_by](acquisition) if told else {}
            file = dataset(
                pixels,
                ImagePositionPatient=place_of(made, acquisition, place),
                ImageOrientationPatient=(*row, *column),
                InstanceNumber=number_of(made, acquisition, place, rng),
                **tags,
            )
            save(file, folder / f"{names[acquisition * made.places + place]:03d}")


def check_volume(made, reading, acquisition, folder):
    """One acquisition, whole, at its places."""
    expected = [place for place in range(made.places) if (acquisition, place) not in made.missing]
    slices = reading.image.array[0, 1, 1]
    np.testing.assert_array_equal(slices, [CODE * acquisition + place for place in expected])
    row, column, _ = axes_of(made)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ reading.image.affine
    np.testing.assert_allclose(lps[:3, 0], 1.25 * row, atol=1e-6)
    np.testing.assert_allclose(lps[:3, 1], 1.5 * column, atol=1e-6)
    ends = [lps @ [0, 0, k, 1] for k in (0, len(expected) - 1)]
    for end, place in zip(ends, (expected[0], expected[-1]), strict=True):
        np.testing.assert_allclose(end[:3], place_of(made, acquisition, place), atol=1e-6)
    assert ("missing slices: 1" in " ".join(reading.warnings)) == (len(expected) < made.places)
    assert ("gantry tilt" in " ".join(reading.warnings)) == (made.tilt > 0)
    check_simpleitk(reading, folder)


def check_simpleitk(reading, folder):
    """Each file of the volume, read alone, holds the plane that the volume has at its place."""
    with quiet_itk():
        files = [sitk.ReadImage(str(path), imageIO="GDCMImageIO") for path in sorted(folder.iterdir())]
    held = {int(sitk.GetArrayViewFromImage(each)[0, 1, 1]): each for each in files}
    for k, value in enumerate(reading.image.array[0, 1, 1]):
        np.testing.assert_array_equal(reading.image.array[0, :, :, k], sitk.GetArrayFromImage(held[int(value)])[0].T)


EXAMPLES = int(os.environ.get("MEDSEG_EXAMPLES", "60"))
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@QUICK
@given(series())
def test_acquisitions_that_a_tag_tells_apart_are_each_read_whole(made):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        write(made, folder, told=True)
        if made.acquisitions == 1:
            check_volume(made, read_image(folder), 0, folder)
            return
        with pytest.raises(ImageError, match=rf"got {made.acquisitions} .*--frame 0\.\.{made.acquisitions - 1}"):
            read_image(folder)
        for acquisition in range(made.acquisitions):
            check_volume(made, read_image(folder, frame=acquisition), acquisition, folder)


@QUICK
@given(series())
def test_acquisitions_that_no_tag_tells_apart_are_never_mixed_silently(made):
    """Each volume that can be had holds one acquisition, or a warning says that it may hold more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        write(made, folder, told=False)
        for frame in (None, *range(made.acquisitions)):
            try:
                reading = read_image(folder, frame=frame)
            except ImageError:
                continue
            held = set(np.unique(reading.image.array[0, 1, 1] // CODE).tolist())
            assert len(held) == 1 or any(words in " ".join(reading.warnings) for words in SAID), (
                made,
                reading.warnings,
            )

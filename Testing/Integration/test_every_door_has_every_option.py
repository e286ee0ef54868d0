"""Every option reaches the one function that segments, through every command and every call of Python.

The panel and the console of Slicer: ``Slicer/test_options_in_slicer.py``.
"""

from contextlib import suppress

import numpy as np
import pytest

import medseg
from doors import NOT_OFFERED
from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.option import keywords_of, options_of
from medseg.spec.postprocess import PostprocessRule

RULE = PostprocessRule(keep_largest=True, min_island_mm3=4.5, fill_holes_mm3=2.0)

# Each option: what it may be, and how the shell writes it.
VALUES = {
    "device": ("cpu", ["--device", "cpu"]),
    "overlap": (0.25, ["--overlap", "0.25"]),
    "mirror": (False, ["--no-mirror"]),
    "precision": ("bfloat16", ["--precision", "bfloat16"]),
    "engine": ("torch", ["--engine", "torch"]),
    "window_batch": (3, ["--window-batch", "3"]),
    "spacing_factor": (1.5, ["--spacing-factor", "1.5"]),
    "roi": ((-4.0, 0.0, -5.0, 10.0, -4.0, 2.5), ["--roi=-4,0,-5,10,-4,2.5"]),
    "roi_voxels": ((1, 5, 2, 6, 0, 4), ["--roi-voxels", "1,5,2,6,0,4"]),
    "postprocess": (RULE, ["--keep-largest", "--min-island-mm3", "4.5", "--fill-holes-mm3", "2"]),
}


@pytest.fixture
def heard(monkeypatch):
    """The options that arrive where every door ends; nothing is computed there."""
    arrived = []

    def listen(_inputs, _bundle, options, **_):
        arrived.append(options)
        msg = "only listened"
        raise JobError(msg)

    for door in ("run.run_job", "run.segment", "scoring.validate"):
        monkeypatch.setattr(f"medseg.jobs.{door}.segment_case", listen)
    return arrived


@pytest.fixture
def doors(scan_file, volume, tmp_path):
    """A function for each door that takes a keyword, its value and its flags."""
    for name, array in (("images", volume.array), ("labels", np.zeros(volume.array.shape, np.uint8))):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "a.nii.gz", Image(array, volume.affine))
    images, out = str(tmp_path / "images"), str(tmp_path / "out")

    def segmenter(keyword, value, _flags):
        medseg.Segmenter(MODEL, **{keyword: value})(scan_file)

    def segmenter_call(keyword, value, _flags):
        medseg.Segmenter(MODEL)(scan_file, **{keyword: value})

    return {
        "medseg segment": lambda _k, _v, flags: run(
            ["segment", str(scan_file), "-m", MODEL, "-o", f"{out}.nii", *flags]
        ),
        "medseg batch": lambda _k, _v, flags: run(["batch", images, "-m", MODEL, "-o", out, "--overwrite", *flags]),
        "medseg validate": lambda _k, _v, flags: run(
            ["validate", MODEL, images, "--labels", str(tmp_path / "labels"), *flags]
        ),
        "medseg.segment": lambda keyword, value, _: medseg.segment(scan_file, model=MODEL, **{keyword: value}),
        "medseg.Segmenter": segmenter,
        "a call of a Segmenter": segmenter_call,
    }


def test_every_option_arrives_through_every_door(heard, doors):
    fields = {keyword: about.field for keyword, about in keywords_of(Options).items()}
    assert set(VALUES) == set(fields), "a new option needs a line above"
    assert not NOT_OFFERED["commands"]
    assert not NOT_OFFERED["Python"]
    for door, enter in doors.items():
        for keyword, (value, flags) in VALUES.items():
            assert value != options_of(Options)[fields[keyword]].default
            with suppress(JobError):  # the commands make an exit code of it
                enter(keyword, value, flags)
            assert heard == [Options(**{fields[keyword]: value})], (door, keyword)
            heard.clear()

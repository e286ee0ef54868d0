"""What a script may say when it segments from the console, and what that loads."""

import subprocess
import sys

import pytest

from medseg.desktop.console.orders import make_settings
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.postprocess import PostprocessRule

LOADED = """
import sys
import medseg.desktop.console.segmenting, medseg.desktop.console.orders
print(*sorted({"torch", "monai", "scipy", "psutil", "rich", "typer", "safetensors"} & set(sys.modules)))
"""


def test_the_process_of_slicer_loads_nothing_that_computes():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_option_reaches_the_job():
    rule = PostprocessRule(keep_largest=True, min_island_mm3=5.0, fill_holes_mm3=7.0)
    settings, roi = make_settings(
        device="cpu",
        overlap=0.25,
        mirror="off",
        window_batch=3,
        precision="bfloat16",
        postprocess=rule,
        roi=[-1, 2, -3, 4, -5, 6],
        quick=True,
        mode="replace",
    )
    assert settings.options(roi) == Options(
        device="cpu",
        overlap=0.25,
        mirror=False,
        window_batch=3,
        precision="bfloat16",
        postprocess=rule,
        roi_ras_mm=(-1.0, 2.0, -3.0, 4.0, -5.0, 6.0),
        spacing_factor=2.0,
    )
    assert settings.mode == "replace"


def test_without_options_all_is_as_the_model_says():
    settings, roi = make_settings()
    assert settings.options(roi) == Options()
    assert roi is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"roi": (1, 0, 0, 1, 0, 1)}, "lower before upper"),
        ({"roi": (1, 2, 3)}, "six numbers"),
        ({"precision": "int8"}, "'int8'"),
        ({"window_batch": 0}, "at least 1 window"),
        ({"colour": "red"}, "colour"),
        ({"roi": "box"}, "roi is a ROI node or six numbers .* in RAS mm, got 'box'"),
        ({"roi": 5}, "roi is a ROI node or six numbers .* in RAS mm, got 5"),
        ({"postprocess": {"keep_largest": True}}, "postprocess is a PostprocessRule, got {'keep_largest'"),
        ({"roi_voxels": (0, 1, 0, 1, 0, 1)}, r"the options are device, .*, roi, postprocess, see"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, words):
    with pytest.raises(JobError, match=words):
        make_settings(**options)

import re
from dataclasses import FrozenInstanceError, asdict, fields
from typing import get_type_hints

import numpy as np
import pytest

from medseg.spec.errors import JobError
from medseg.spec.job import Job, OptionKeywords, Options, options_from
from medseg.spec.option import keywords_of, options_of
from medseg.spec.postprocess import PostprocessRule
from medseg.spec.wire import decode_job, encode_job


@pytest.mark.parametrize("overlap", [0, 0.5, 0.9, None])
def test_an_overlap_from_0_to_90_percent_is_taken(overlap):
    assert Options(overlap=overlap).overlap == overlap


@pytest.mark.parametrize("overlap", [-0.01, 0.91, 1.0, float("nan")])
def test_another_overlap_is_refused_with_its_value(overlap):
    with pytest.raises(JobError, match=rf"0\.\.0\.9, got {overlap}"):
        Options(overlap=overlap)


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_without_windows_is_refused(batch):
    with pytest.raises(JobError, match=f"at least 1 window, got {batch}"):
        Options(window_batch=batch)


@pytest.mark.parametrize(
    "roi", [(1, 0, 0, 1, 0, 1), (0, 1, 2, 2, 0, 1), (0, 1, 0, 1, 0, float("nan"))], ids=["reversed", "flat", "nan"]
)
def test_a_region_with_bounds_out_of_order_is_refused(roi):
    with pytest.raises(JobError, match=r"R-,R\+,A-,A\+,S-,S\+ in mm"):
        Options(roi_ras_mm=roi)


@pytest.mark.parametrize(
    "box", [(2, 2, 0, 1, 0, 1), (0, 1, 3, 1, 0, 1), (0, 1, 0, 1, -1, 1)], ids=["flat", "reversed", "below"]
)
def test_a_box_of_no_voxels_is_refused(box):
    with pytest.raises(JobError, match=r"the first and the stop along i, j and k, got"):
        Options(roi_voxels=box)


def test_a_region_is_given_in_one_way_only():
    assert Options(roi_voxels=(0, 1, 2, 5, 3, 4)).roi_voxels == (0, 1, 2, 5, 3, 4)
    with pytest.raises(JobError, match="leave one out"):
        Options(roi_voxels=(0, 1, 2, 5, 3, 4), roi_ras_mm=(0, 1, 0, 1, 0, 1))


def test_options_left_alone_leave_the_choice_to_the_model():
    options = Options()
    assert options.overlap is None
    assert options.mirror is None
    assert options.postprocess is None
    assert options.roi_ras_mm is None
    assert options.device == "auto"


def test_a_job_is_frozen_and_compares_by_value():
    options = Options(postprocess=PostprocessRule(keep_largest=True))
    job = Job(inputs=("t1.nii.gz",), model="m", output="out.nrrd", options=options)
    assert job == Job(inputs=("t1.nii.gz",), model="m", output="out.nrrd", options=options)
    assert not job.overwrite
    assert asdict(job)["options"]["postprocess"]["keep_largest"] is True
    with pytest.raises(FrozenInstanceError):
        job.model = "other"


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(JobError, match="engine is one of auto, torch, openvino, got 'onnx'"):
        Options(engine="onnx")


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(JobError, match="float32, bfloat16, float16, got 'half'"):
        Options(precision="half")


def test_every_field_is_an_option_that_says_what_it_is():
    for kind in (Options, PostprocessRule):
        options = options_of(kind)
        assert list(options) == [field.name for field in fields(kind)]
        for about in options.values():
            assert about.help[0].isupper()
            assert not about.help.endswith(".")
            assert about.title
            assert about.takes(about.default)


def test_the_keywords_of_python_are_the_options_with_their_types():
    hints = get_type_hints(Options)
    assert get_type_hints(OptionKeywords) == {name: hints[about.field] for name, about in keywords_of(Options).items()}
    assert OptionKeywords.__optional_keys__ == set(get_type_hints(OptionKeywords))


def test_keywords_become_options_and_a_list_is_a_region_too():
    assert options_from({"roi": [0, 1, 2, 3, 4, 5], "overlap": 0.5}) == Options(
        roi_ras_mm=(0, 1, 2, 3, 4, 5), overlap=0.5
    )
    with pytest.raises(TypeError, match=r"'roi_ras_mm' is no option; the options are device, .*, roi, "):
        options_from({"roi_ras_mm": (0, 1, 2, 3, 4, 5)})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mirror", "off", "mirror is True, False or None, got 'off'"),
        ("overlap", "0.5", "overlap must lie in 0..0.9, got '0.5'"),
        ("window_batch", True, "window_batch is at least 1 window, got True"),
        ("window_batch", 1.5, "window_batch is at least 1 window, got 1.5"),
        ("device", None, "device is auto, cpu, cuda, cuda:1 or mps, got None"),
        ("roi_ras_mm", (0, 1, 0, 1, 0), "roi is six numbers R-,R+,A-,A+,S-,S+, in RAS mm, got"),
        ("roi_voxels", (0, 1, 0, 1, 0, 1.5), "roi_voxels is six whole numbers"),
        ("postprocess", {"keep_largest": True}, "postprocess is a PostprocessRule, got"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, words):
    with pytest.raises(JobError, match=re.escape(words)):
        Options(**{name: value})


def test_a_bad_region_is_named_as_the_user_typed_it():
    with pytest.raises(JobError, match=r"^roi is six numbers"):
        options_from({"roi": (0, 1)})


def test_numbers_of_numpy_are_taken_as_pythons_own_in_process_and_by_a_worker():
    rule = PostprocessRule(min_island_mm3=np.float32(2.5), fill_holes_mm3=np.int64(3))
    options = Options(
        overlap=np.float32(0.5),
        window_batch=np.int64(2),
        spacing_factor=np.float64(1.5),
        roi_ras_mm=tuple(np.arange(6, dtype=np.float32)),
        postprocess=rule,
    )
    job = Job(inputs=("a.nii",), model="m", output="o.nii", options=options)
    assert decode_job(encode_job(job)) == job
    numbers = [options.overlap, options.window_batch, options.spacing_factor, *options.roi_ras_mm]
    assert [type(number) for number in numbers] == [float, int] + [float] * 7
    box = Options(roi_voxels=tuple(np.arange(6, dtype=np.int16))).roi_voxels
    assert box == (0, 1, 2, 3, 4, 5)
    assert {type(number) for number in box} == {int}


def test_a_truth_value_of_numpy_is_refused_before_either_door():
    with pytest.raises(JobError, match="mirror is True, False or None, got"):
        Options(mirror=np.bool_(True))

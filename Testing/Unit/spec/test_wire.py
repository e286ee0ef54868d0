import json
import math
from dataclasses import replace

import pytest

from medseg.spec.errors import JobError
from medseg.spec.import_job import Choices, ImportJob
from medseg.spec.job import Job, Options
from medseg.spec.manifest import Code, IntensityRule, LabelSpec
from medseg.spec.postprocess import PostprocessRule
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import Cancel, Describe, Quit, Run, decode_job, decode_request, encode_job, encode_request

PLAIN = Job(inputs=("a.nii.gz",), model="tiny", output="b.seg.nrrd")
FULL = Job(
    inputs=("/Köln/größe 1.nii.gz", "D:\\データ\\t2", "line\nbreak\u2028", "undecodable-\udcff"),
    model="tiny",
    output="out.nrrd",
    options=Options(
        device="cuda:1",
        overlap=0.25,
        mirror=False,
        window_batch=4,
        precision="bfloat16",
        engine="openvino",
        roi_ras_mm=(-10.5, 20, 0, 1, -3, 1e3),
        postprocess=PostprocessRule(keep_largest=True, min_island_mm3=5.0),
        spacing_factor=1.5,
    ),
    probabilities="p.nrrd",
    preview="p.png",
    overwrite=True,
    frame=3,
)


BOXED = replace(PLAIN, options=Options(roi_voxels=(0, 4, 1, 7, 0, 9)))


@pytest.mark.parametrize("job", [PLAIN, FULL, BOXED], ids=["plain", "full", "boxed"])
def test_a_job_comes_back_from_its_text(job):
    assert decode_job(encode_job(job)) == job
    assert decode_job(encode_job(job).encode("ascii")) == job


LABEL = LabelSpec(value=1, name="Leber", color=(1, 2, 3), category=Code("a", "b", "c"), type=Code("d", "e", "f"))
TRAINING = TrainingJob(dataset="d", output="o", title="T", start="s", labels=(LABEL,), steps=3, subjects="s.csv")
IMPORT = ImportJob(
    source="s",
    output="o",
    scratch="x",
    choices=Choices(model_id="m", labels=(LABEL,), intensity=IntensityRule(kind="zscore"), spacing_mm=(1.0, 2.0, 3.0)),
    arguments={"widths": [1, 2], "deep": {"a": None}},
    folds=("0", "all"),
)
REQUESTS = [
    Run(PLAIN),
    Run(IMPORT),
    Run(IMPORT, "nr. 9"),
    Run(FULL, "nr. 7 \u2028"),
    Run(TRAINING),
    Run(TRAINING, "nr. 8"),
    Cancel(),
    Describe(),
    Quit(),
]


@pytest.mark.parametrize(
    "change",
    [{"start": None}, {"network": "n"}, {"title": " "}, {"seconds": 0.0}, {"seconds": float("nan")}, {"steps": 0}],
    ids=str,
)
def test_a_training_that_cannot_be_is_refused(change):
    with pytest.raises(JobError):
        replace(TRAINING, **change)


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_request_comes_back_from_its_line_and_is_one_line(request_):
    line = encode_request(request_)
    assert decode_request(line) == request_
    assert len(line.splitlines()) == 1
    assert line.isascii()


def test_fields_that_are_left_out_have_their_defaults():
    assert decode_job('{"inputs": ["a.nii.gz"], "model": "tiny", "output": "b.seg.nrrd"}') == PLAIN


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": 1}, "job.colour: no such field"),
        ({"inputs": "a.nii"}, "job.inputs: expected a list"),
        ({"inputs": ["a", 3]}, r"job.inputs\[1\]: expected text, got 3"),
        ({"model": None}, "job.model: expected text, got null"),
        ({"overwrite": 1}, "job.overwrite: expected true or false"),
        ({"frame": True}, "job.frame: expected an integer"),
        ({"frame": 1.5}, "job.frame: expected an integer"),
        ({"options": []}, "job.options: expected an object"),
        ({"options": {"overlap": "half"}}, "job.options.overlap: expected a finite number"),
        ({"options": {"overlap": 1}}, r"job.options: overlap must lie in 0..0.9, got 1"),
        ({"options": {"spacing_factor": 0.5}}, "job.options: spacing_factor must lie in 1..8, got 0.5"),
        ({"options": {"overlap": 10**400}}, "job.options.overlap: expected a finite number"),
        ({"options": {"engine": "onnx"}}, "job.options.engine: expected one of auto, torch, openvino"),
        ({"options": {"precision": "int8"}}, "job.options.precision: expected one of float32, bfloat16, float16"),
        ({"options": {"roi_voxels": [0, 1, 0, 1.5, 0, 1]}}, "job.options.roi_voxels: expected 6 integers"),
        ({"options": {"roi_ras_mm": [0, 1, 0, 1, 0]}}, "job.options.roi_ras_mm: expected 6 numbers"),
        ({"options": {"roi_ras_mm": [0, 1, 0, 1, 0, math.inf]}}, "job.options.roi_ras_mm: expected 6 numbers"),
        ({"options": {"postprocess": {"min_island_mm3": -1}}}, "job.options.postprocess.min_island_mm3"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_job_is_named(change, named):
    fields = {**json.loads(encode_job(PLAIN)), **change}
    with pytest.raises(JobError, match=named):
        decode_job(json.dumps(fields))


def test_a_missing_field_is_named():
    with pytest.raises(JobError, match=r"job\.output: this field is missing"):
        decode_job('{"inputs": [], "model": "tiny"}')


@pytest.mark.parametrize(
    "line", [b"", b"loading", b"5", b"null", b'"stop"', b"{}", b'{"run": {}, "x": 1}', b'\xff"', b"[" * 10**5], ids=len
)
def test_a_line_that_is_no_request_is_refused(line):
    with pytest.raises(JobError, match="request"):
        decode_request(line)


def test_a_number_json_cannot_say_is_refused_when_it_is_sent():
    boundless = replace(PLAIN, options=Options(roi_ras_mm=(-math.inf, 0, 0, 1, 0, 1)))
    with pytest.raises(JobError, match="finite"):
        encode_job(boundless)

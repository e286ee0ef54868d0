import json

import pytest

from medseg.spec.errors import Cancelled, JobError
from medseg.spec.events import (
    Described,
    Device,
    Failed,
    Finished,
    Learning,
    Noted,
    Progress,
    Started,
    Stopped,
    Using,
    Warned,
    decode_event,
    encode_event,
    error_of,
)
from medseg.spec.locating import PlacedBox

BOX = PlacedBox(
    name="left",
    centre_mm=(-25.5, -20.0, -9.0),
    size_mm=(30.0, 50.0, 40.0),
    axis_i=(1.0, 0.0, 0.0),
    axis_j=(0.0, 0.6, 0.8),
    axis_k=(0.0, -0.8, 0.6),
)

EVENTS = [
    Started("case 1"),
    Learning(3, 100, 0.03, 0.7, None, None, 12.5),
    Noted("3 cases train"),
    Using("NVIDIA A2000 (cuda:0)", threads=4, memory_mb=1200),
    Using("cpu", threads=1, memory_mb=None),
    Using("cpu", threads=1, memory_mb=None, engine="PyTorch 2.13.0 (float32)"),
    Progress("windows", 3, 27),
    Progress("read", 0, 1, seconds_left=2.5),
    Warned('spacing of "scan 1"\nis odd: 1 \u00b5m\u2028'),
    Finished(outputs=("a.nii.gz", "b.seg.nrrd"), device="cpu", seconds=12.25),
    Finished(outputs=(), device="cuda:0", seconds=0.0),
    Finished(outputs=("a.nii",), device="cpu", seconds=3.5, windows_seconds=2.25, window_count=54),
    Finished(outputs=("a.nii",), device="cpu", seconds=3.5, engine="OpenVINO 2026.4.1 (float32)"),
    Finished(outputs=(), device="cpu", seconds=3.5, boxes=(BOX,)),
    Described((Device("cuda:0", "NVIDIA A2000", 1024, 6144), Device("cpu", "a processor", None, None))),
    Described(()),
    Failed("no such file", is_bug=False),
    Failed("KeyError: 'a'", is_bug=True, details="Traceback\n  in a.py"),
    Stopped(),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_line(event):
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_whatever_it_says(event):
    assert len(encode_event(event).splitlines()) == 1
    assert json.loads(encode_event(event))["event"] == type(event).__name__


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loading weights",
        "5",
        "null",
        "[1, 2]",
        "{}",
        '{"event": "Progress"}',
        '{"event": "Exploded", "message": "x"}',
        '{"event": ["Progress"]}',
        '{"event": "Warned", "message": "x", "extra": 1}',
        '{"event": "Finished", "outputs": 3, "device": "cpu", "seconds": 1}',
        '{"event": "Described", "devices": [{"name": "cpu"}]}',
        '{"event": "Described", "devices": [["cpu", "a processor", 1, 2]]}',
    ],
)
def test_a_line_that_is_no_event_is_log_text(line):
    assert decode_event(line) is None


def test_a_line_from_before_windows_were_timed_is_understood():
    line = '{"event": "Finished", "outputs": ["a.nii"], "device": "cpu", "seconds": 1}'
    assert decode_event(line) == Finished(("a.nii",), "cpu", 1.0, windows_seconds=None, window_count=None, engine="")
    line = '{"event": "Using", "device": "cpu", "threads": 2, "memory_mb": 300}'
    assert decode_event(line) == Using("cpu", 2, 300, engine="")


@pytest.mark.parametrize(
    ("end", "kind", "words"),
    [
        (Stopped(), Cancelled, "cancelled"),
        (Failed("too small", is_bug=False), JobError, "too small"),
        (Failed("cancelled", is_bug=False), JobError, "cancelled"),  # a kind is not read from words
        (Failed("KeyError", is_bug=True), RuntimeError, "KeyError"),
        (Failed("ended by SIGSEGV", is_bug=True, details="a\nb"), RuntimeError, "ended by SIGSEGV\na\nb"),
    ],
)
def test_the_end_of_a_job_becomes_the_exception_it_was(end, kind, words):
    error = error_of(end)
    assert (type(error), str(error)) == (kind, words)


def test_a_failure_without_details_is_understood():
    line = '{"event": "Failed", "message": "no", "is_bug": false}'
    assert decode_event(line) == Failed("no", is_bug=False, details="")

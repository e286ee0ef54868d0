"""Whatever way the pipe cuts it, a worker's talk is the same events and lines."""

import pytest

from medseg.jobs.worker.command import describe_exit
from medseg.jobs.worker.event_stream import EventStreamParser
from medseg.spec.events import Finished, Progress, Warned, encode_event

EVENTS = [Progress("windows", 1, 4, 2.5), Warned("größer als nichts"), Finished(("a.nrrd",), "cpu", 1.5)]


@pytest.fixture
def heard():
    return [], []


@pytest.fixture
def parser(heard):
    events, lines = heard
    return EventStreamParser(events.append, lines.append)


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_events_and_log_lines_are_found_however_the_stream_is_cut(heard, parser, step):
    text = "loading\n" + "".join(encode_event(event) + "\r\n" for event in EVENTS) + "grüße\n"
    stream = text.encode()
    for start in range(0, len(stream), step):
        parser.hear_output(stream[start : start + step])
    assert heard == (EVENTS, ["loading", "grüße"])


def test_a_progress_bar_is_one_line_as_the_eye_saw_it_last(heard, parser):
    parser.hear_errors(b"10%\r50%\r100%\nnext\r\n")
    assert heard[1] == ["100%", "next"]


def test_bytes_that_are_no_text_do_not_stop_the_talk(heard, parser):
    parser.hear_errors(b"\xff\xfe oh\n")
    assert len(heard[1]) == 1
    assert heard[1][0].endswith(" oh")


def test_an_event_on_the_error_stream_is_only_text(heard, parser):
    parser.hear_errors(encode_event(EVENTS[0]).encode() + b"\n")
    assert heard[0] == []


def test_a_crash_is_told_with_the_last_words_also_of_a_line_that_was_not_ended(parser):
    parser.hear_errors(b"Traceback\nOverflowError: too many\nunfinished wor")
    parser.flush()
    end = describe_exit(-11, parser.log)
    assert end.is_bug
    assert "SIGSEGV" in end.message
    assert "OverflowError: too many" in end.details
    assert "unfinished wor" in end.details

import os

from medseg.jobs.worker.pipes import EventWriter, read_lines
from medseg.spec.events import Finished, Progress, Warned, decode_event


def written(*events):
    reading, writing = os.pipe()
    tell = EventWriter(writing)
    for event in events:
        tell(event)
    os.close(writing)
    lines = list(read_lines(reading))
    os.close(reading)
    return [decode_event(line.decode()) for line in lines]


def test_events_arrive_as_they_were_told():
    events = [Progress("read", 0, 1), Warned("größer\n\u2028"), Finished(("ö.nrrd",), "cpu", 1.0)]
    assert written(*events) == events


def test_of_a_flood_of_progress_the_ends_of_every_stage_arrive():
    stages = [Progress(stage, done, 5000) for stage in ("windows", "restore") for done in range(5001)]
    arrived = written(*stages)
    assert len(arrived) < 200
    for stage in ("windows", "restore"):
        ends = [event.done for event in arrived if event.stage == stage]
        assert (ends[0], ends[-1]) == (0, 5000)


def test_lines_are_put_together_from_pieces():
    reading, writing = os.pipe()
    os.write(writing, b"one\r\n\ntw")
    lines = read_lines(reading)
    assert next(lines) == b"one"
    os.write(writing, b"o\nrest")
    os.close(writing)
    assert list(lines) == [b"", b"two", b"rest"]
    os.close(reading)


def test_nobody_reading_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    EventWriter(writing)(Warned("is anybody there?"))
    os.close(writing)

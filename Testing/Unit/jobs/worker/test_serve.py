import weakref

import pytest

from medseg.jobs.worker.serve import Inbox, Refused, bug_report, serve
from medseg.spec.errors import Cancelled, JobError
from medseg.spec.events import Described, Failed, Finished, Started, Stopped
from medseg.spec.job import Job
from medseg.spec.wire import Cancel, Describe, Quit, Run, encode_request

JOB = Job(inputs=("a",), model="m", output="o")
DONE = Finished(("o",), "cpu", 1.0)


def served(run, *requests, lines=()):
    inbox, told = Inbox(), []
    inbox.listen([*lines, *(encode_request(request).encode() for request in requests)])
    well = serve(inbox, told.append, run, idle_seconds=0)
    return told, well


def finish(_job, tell, _cancelled):
    tell(DONE)


def failing(error):
    def run(_job, _tell, _cancelled):
        raise error

    return run


def test_each_job_is_answered_in_turn():
    told, well = served(finish, Run(JOB, "1"), Run(JOB, "2"))
    assert told == [Started("1"), DONE, Started("2"), DONE]
    assert well


def test_nothing_is_done_after_quit():
    assert served(finish, Run(JOB, "1"), Quit(), Run(JOB, "2")) == ([Started("1"), DONE], True)


def test_a_job_that_was_called_off_has_stopped_whatever_the_exception_says():
    assert served(failing(Cancelled("as the user asked")), Run(JOB)) == ([Started(""), Stopped()], False)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (JobError("overlap must lie in 0..0.9"), "overlap must lie in 0..0.9"),
        (JobError("cancelled"), "cancelled"),  # a kind is not read from words
        (OSError(28, "No space left on device", "o.nrrd"), "No space left on device"),
        (MemoryError(), "too little memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_the_user_can_mend_is_said_and_the_worker_goes_on(error, message):
    told, well = served(failing(error), Run(JOB), Run(JOB))
    assert [type(event) for event in told] == [Started, Failed, Started, Failed]
    assert message in told[1].message
    assert not told[1].is_bug
    assert not well


def test_a_job_cancelled_before_it_began_is_not_begun():
    told, _ = served(failing(AssertionError("was begun")), Run(JOB), Cancel())
    assert told == [Started(""), Stopped()]


def test_after_each_job_what_it_held_is_free_before_the_next():
    held, seen = [], []

    class Tensor:
        pass

    def run(_job, _tell, _cancelled):
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise Cancelled

    inbox = Inbox()
    inbox.put(Run(JOB))
    inbox.put(Run(JOB))
    serve(inbox, lambda _: None, run, idle_seconds=0, after_job=lambda: seen.append([each() for each in held]))
    assert seen == [[None], [None, None]]


def test_a_line_that_is_no_request_is_answered_and_the_next_job_runs():
    told, well = served(finish, Run(JOB, "1"), lines=[b'{"run": {"input": 1}}'])
    assert "job.input: no such field" in told[0].message
    assert told[1:] == [Started("1"), DONE]
    assert not well


def test_a_bug_ends_the_worker():
    with pytest.raises(ZeroDivisionError):
        served(failing(ZeroDivisionError("oops")), Run(JOB), Run(JOB))


def test_a_bug_report_names_the_error_and_the_place():
    try:
        served(failing(ZeroDivisionError("oops")), Run(JOB))
    except ZeroDivisionError as error:
        report = bug_report(error)
    assert report.is_bug
    assert report.message == "ZeroDivisionError: oops"
    assert "test_serve.py" in report.details


def test_a_request_to_describe_is_answered_in_its_turn():
    inbox, told = Inbox(), []
    inbox.listen(encode_request(request).encode() for request in (Run(JOB, "1"), Describe(), Run(JOB, "2")))
    assert serve(inbox, told.append, finish, idle_seconds=0, describe=lambda: told.append(Described(())))
    assert told == [Started("1"), DONE, Described(()), Started("2"), DONE]


def named(name):
    return Run(Job(inputs=("a",), model="m", output="o"), name)


def lines(*requests):
    return [encode_request(request).encode() for request in requests]


def test_requests_come_in_the_sequence_of_their_lines():
    inbox = Inbox()
    inbox.listen([*lines(named("1")), b"", b"what?", *lines(named("2"), Quit())])
    requests = [inbox.next_request(0).request for _ in range(4)]
    assert (requests[0], requests[2], requests[3]) == (named("1"), named("2"), Quit())
    assert isinstance(requests[1], Refused)
    assert "what?" in requests[1].reason
    assert inbox.next_request(0) is None


def test_a_cancel_stops_what_was_asked_before_it_and_nothing_after():
    inbox = Inbox()
    inbox.listen(lines(named("1"), named("2"), Cancel(), named("3"), named("4")))
    assert [inbox.next_request(0).cancelled.is_set() for _ in range(4)] == [True, True, False, False]
    inbox.stop()
    assert inbox.next_request(0).request == Quit()


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_an_idle_inbox_says_so(seconds):
    assert Inbox().next_request(seconds) is None


def test_a_request_to_describe_waits_until_something_can_answer_and_is_answered_at_once_from_then_on():
    inbox, answers = Inbox(), []
    inbox.listen(lines(named("1"), Describe()))
    inbox.answer_at_once(lambda: answers.append("described"))
    inbox.listen(lines(named("2"), Describe(), named("3")))
    assert answers == ["described"]
    assert [inbox.next_request(0).request for _ in range(4)] == [named("1"), Describe(), named("2"), named("3")]

import pytest

from medseg.jobs.worker.inbox import Inbox, Refused
from medseg.spec.job import Job
from medseg.spec.wire import Cancel, Describe, Quit, Run, encode_request


def run(name):
    return Run(Job(inputs=("a",), model="m", output="o"), name)


def lines(*requests):
    return [encode_request(request).encode() for request in requests]


def test_orders_come_in_the_sequence_of_their_lines():
    inbox = Inbox()
    inbox.listen([*lines(run("1")), b"", b"what?", *lines(run("2"), Quit())])
    orders = [inbox.next_order(0).request for _ in range(4)]
    assert (orders[0], orders[2], orders[3]) == (run("1"), run("2"), Quit())
    assert isinstance(orders[1], Refused)
    assert "what?" in orders[1].reason
    assert inbox.next_order(0) is None


def test_a_cancel_stops_what_was_asked_before_it_and_nothing_after():
    inbox = Inbox()
    inbox.listen(lines(run("1"), run("2"), Cancel(), run("3"), run("4")))
    assert [inbox.next_order(0).cancelled.is_set() for _ in range(4)] == [True, True, False, False]
    inbox.stop()
    assert inbox.next_order(0).request == Quit()


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_an_idle_inbox_says_so(seconds):
    assert Inbox().next_order(seconds) is None


def test_a_request_to_describe_waits_until_something_can_answer_and_is_answered_at_once_from_then_on():
    inbox, answers = Inbox(), []
    inbox.listen(lines(run("1"), Describe()))
    inbox.answer_at_once(lambda: answers.append("described"))
    inbox.listen(lines(run("2"), Describe(), run("3")))
    assert answers == ["described"]
    assert [inbox.next_order(0).request for _ in range(4)] == [run("1"), Describe(), run("2"), run("3")]

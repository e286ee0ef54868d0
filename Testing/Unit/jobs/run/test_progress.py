"""ProgressReporter: what a job tells while it runs, and when it may still be stopped."""

import pytest

from medseg.jobs.run.progress import ProgressReporter
from medseg.spec.errors import Cancelled


def test_a_stage_tells_its_begin_and_its_end():
    told = []
    with ProgressReporter(told.append).stage("read"):
        pass
    assert [(event.stage, event.done, event.total) for event in told] == [("read", 0, 1), ("read", 1, 1)]


def test_a_cancel_during_a_stage_stops_at_its_next_step():
    asked = False
    stages = ProgressReporter(cancelled=lambda: asked)
    with stages.stage("windows", 3) as step:
        step(1, 3)
        asked = True
        with pytest.raises(Cancelled):
            step(2, 3)


def test_a_cancel_after_the_work_of_a_stage_does_not_deny_what_it_did():
    asked = False
    told = []
    with ProgressReporter(told.append, lambda: asked).stage("write"):
        asked = True
    assert told[-1].done == 1


def test_a_warning_is_told_once():
    told = []
    stages = ProgressReporter(told.append)
    stages.warn("thin")
    stages.warn("thin")
    assert [event.message for event in told] == ["thin"]

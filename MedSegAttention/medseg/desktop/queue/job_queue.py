"""Several runs one after the other in one warm worker; what befalls one row never stops the next. No Qt."""

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from medseg.desktop.queue.import_run import ImportRun, drop_unfinished
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.queue.training_run import TrainingRun
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import AnyOrder
from medseg.desktop.state.texts import _, describe_event
from medseg.desktop.worker.job_home import keep_job_folder, make_job_folder, remove_job_folder
from medseg.desktop.worker.job_process import MakeProcess, call_now
from medseg.spec.errors import MedSegError
from medseg.spec.events import Described, End, Event, Failed, Finished, Noted, Stopped, Warned

AnyRun: TypeAlias = PendingRun | TrainingRun | ImportRun
Preparing: TypeAlias = Generator[str, None, AnyRun]
"""Yields a sentence on what it is doing, now and then, so that the window is alive in between; returns the run."""
Prepare: TypeAlias = Callable[[AnyOrder, Path], AnyRun | Preparing]


class JobQueue:
    """Rows that run in order.

    Args:
        make_process: given who hears events and log lines, makes the process that computes; called once.
        prepare: writes the input of an order into an empty folder, perhaps in steps between which the row can be
            cancelled; called when the row's turn comes. A ``MedSegError`` or ``OSError`` that it raises, or that
            starting the process raises, is the end of that row alone.
        import_result: shows a result in the scene.
        on_change: called after every change of any row.
        on_log: hears each line of the worker's log, each warning, and all lines of a failure.
        on_end: hears each row that has ended, however it did, before the next one begins.
        on_described: hears the answer to ``describe``, which belongs to no row.
        later: does something soon, from outside the callback it is called in; in Qt a timer of 0 ms, so that the
            window is painted between two rows and two steps, and no process is replaced from within its own signal.
    """

    def __init__(
        self,
        make_process: MakeProcess,
        prepare: Prepare,
        import_result: Callable[[AnyRun, Finished], ImportedResult],
        on_change: Callable[[], None] = lambda: None,
        on_log: Callable[[str], None] = lambda _: None,
        *,
        on_end: Callable[[Row], None] = lambda _: None,
        on_described: Callable[[Described], None] = lambda _: None,
        later: Callable[[Callable[[], None]], None] = call_now,
    ) -> None:
        self._prepare, self._import_result, self._later = prepare, import_result, later
        self._on_change, self._on_log, self._on_end, self._on_described = on_change, on_log, on_end, on_described
        self._rows: list[Row] = []
        self._current: Row | None = None
        self._count = 0
        self._preparation: Preparing | None = None  # of the current row, until its job is sent
        self._is_going_on = self._is_asked_again = False
        self._is_closed = False
        self._process = make_process(self._hear, on_log)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, in the order in which they run."""
        return tuple(self._rows)

    @property
    def current(self) -> Row | None:
        """The row that runs now."""
        return self._current

    @property
    def is_busy(self) -> bool:
        """Whether a row runs or waits."""
        return any(not row.has_ended for row in self._rows)

    def add(self, order: AnyOrder) -> Row:
        """Put an order at the end of the queue; it begins when those before it have ended."""
        self._count += 1
        row = Row(self._count, order, message=_("Waiting"))
        self._rows.append(row)
        self._on_change()
        self._later(self._go_on)
        return row

    def cancel(self, row: Row) -> None:
        """Stop a row that runs, or let one that waits not begin; a row that has ended stays as it is."""
        if row.state is State.WAITING:
            row.is_stopping = True
            self._end(row, Stopped())
        elif row.state is State.RUNNING and not row.is_stopping:
            row.is_stopping = True
            row.say(_("Stopping..."))
            self._on_change()
            if self._preparation is None:  # else the next step sees it
                self._process.cancel()

    def cancel_run(self, row: Row) -> None:
        """Stop a row with all that Apply ordered together with it: the time points of one sequence."""
        point = row.order.time_point
        if point is not None:
            waiting = [other for other in self._rows if other.state is State.WAITING and other is not row]
            for other in waiting:
                if other.order.time_point is not None and other.order.time_point.output_id == point.output_id:
                    self.cancel(other)
        self.cancel(row)

    def cancel_all(self) -> None:
        """Stop the row that runs and let none of the others begin."""
        for row in [*(row for row in self._rows if row.state is State.WAITING), *filter(None, [self._current])]:
            self.cancel(row)

    def retry(self, row: Row) -> Row | None:
        """Run the order of an ended row again, as a new row at the end.

        A failed or cancelled row makes room for the new one; a done row stays, with its result.

        Returns:
            The new row; None where the row has not ended, or belongs to a scene that was closed.
        """
        if not row.can_be_retried:
            return None
        if row.state is not State.DONE and row in self._rows:
            self._rows.remove(row)
        return self.add(row.order)

    def remove(self, row: Row) -> None:
        """Take a row out of the list; one that waits is cancelled, one that runs stays."""
        if row.state is State.WAITING:
            self.cancel(row)
        if row.has_ended and row in self._rows:
            self._rows.remove(row)
            self._on_change()

    def clear_ended(self) -> None:
        """Take every row that has ended out of the list; a result kept in a file stays there."""
        self._rows = [row for row in self._rows if not row.has_ended]
        self._on_change()

    def leave_scene(self) -> None:
        """Let go of all that belongs to the scene, which is being closed; nothing of these rows is shown any more.

        The next scene gives the same ids to other nodes. Rows added later wait until the present one has stopped.
        """
        for row in self._rows:
            row.is_stale, row.result = True, None
            if row.run is not None:
                row.run = replace(row.run, is_stale=True)
        self.cancel_all()
        self._on_change()

    def describe(self) -> None:
        """Ask the worker which devices it has, where it can be asked; ``on_described`` hears the answer."""
        ask: Callable[[], None] | None = getattr(self._process, "describe", None)
        if ask is not None:
            ask()

    def close(self) -> None:
        """End the worker with the panel and remove what the running row left; nothing begins any more."""
        self._is_closed = True
        self._process.close()
        for row in self._rows:
            if not row.has_ended:
                row.is_stopping = True
                row.end(Stopped())
                _drop(row)
        self._drop_preparation()
        self._current = None

    def _go_on(self) -> None:
        """Do one thing: prepare a step of the current row, or begin the first that waits.

        Where ``later`` means now, what is to be done next is done in a loop, not in a call within a call.
        """
        self._is_asked_again = True
        if self._is_going_on:
            return
        self._is_going_on = True
        try:
            while self._is_asked_again and not self._is_closed:
                self._is_asked_again = False
                row = self._current or next((row for row in self._rows if row.state is State.WAITING), None)
                if row is None:
                    return
                if self._current is None:
                    self._current, row.state = row, State.RUNNING
                    row.say(_("Starting..."))
                    self._on_change()
                    self._preparation = self._steps(row)
                if self._preparation is not None:
                    self._prepare_on(row, self._preparation)
        finally:
            self._is_going_on = False

    def _steps(self, row: Row) -> Preparing:
        row.folder = make_job_folder()
        run = self._prepare(row.order, row.folder)
        return (yield from run) if isinstance(run, Generator) else run

    def _prepare_on(self, row: Row, preparation: Preparing) -> None:
        """Take a step, or send the job to the worker when there is none left."""
        words = _("the row could not begin; the log of the application says why")
        answer: Failed | Stopped | None = Failed(words, is_bug=True)
        try:
            said, run = "", None
            if not row.is_stopping:
                try:
                    said = next(preparation)
                except StopIteration as end:
                    run = end.value
            if row.is_stopping:  # also where preparing let events through
                answer = Stopped()
            elif run is None:
                answer = None
                row.say(said)
                self._on_change()
                self._later(self._go_on)
            else:
                self._preparation = None
                row.run = replace(run, is_stale=row.is_stale)
                self._process.start(run.request.job)
                answer = None
        except (MedSegError, OSError) as error:
            row.error = error
            answer = Failed(str(error), is_bug=False)
        finally:  # what no user can mend goes on to the caller, and leaves no row that seems to run
            if answer is not None:
                self._drop_preparation()
                self._end(row, answer)

    def _drop_preparation(self) -> None:
        if self._preparation is not None:
            with suppress(ValueError):  # closed from within a step, after which no other is taken
                self._preparation.close()
        self._preparation = None

    def _hear(self, event: Event) -> None:
        row = self._current
        if isinstance(event, Described):
            self._on_described(event)
        elif isinstance(event, End) and row is not None:
            self._end(row, event)
        elif row is not None:
            row.hear(event)
            if isinstance(event, Warned):
                self._on_log(row.warnings[-1])
            elif isinstance(event, Noted):
                self._on_log(event.message)
            self._on_change()

    def _end(self, row: Row, event: End) -> None:
        """Take the last word on a row, show its result, and go on with the next."""
        if row.has_ended:
            return
        row.end(event)
        if row.state is State.FAILED:
            self._on_log(row.details)
        try:
            if row.state is State.DONE:
                self._show(row)
        finally:
            _drop(row)
            row.is_stopping = False
            if self._current is row:
                self._current = None
            if not self._is_closed:
                self._on_end(row)
                self._on_change()
                self._later(self._go_on)

    def _show(self, row: Row) -> None:
        """Bring a result into the scene; a row whose result cannot be shown has failed, whatever is raised."""
        if row.run is None or row.finished is None:
            return
        row.state = State.FAILED
        try:
            row.result = self._import_result(row.run, row.finished)
        except (MedSegError, OSError) as error:
            row.error = error
            row.say(str(error))
            self._on_log(row.details)
            return
        row.state = State.DONE
        lines = [describe_event(row.finished), *filter(None, [row.result.message])]
        if row.result.message is not None:
            self._on_log(row.result.message)
        row.say(". ".join(" ".join(line.splitlines()) for line in lines))


def _drop(row: Row) -> None:
    """Remove the folder of a row, unless it holds a result that no node does."""
    drop_unfinished(row.run)
    folder, row.folder, row.run = row.folder, None, None
    if folder is not None:
        is_kept = row.result is not None and row.result.kept is not None
        (keep_job_folder if is_kept else remove_job_folder)(folder)

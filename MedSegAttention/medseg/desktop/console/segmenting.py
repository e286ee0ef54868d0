"""The module without its panel: volumes and whole folders segmented from the Python console or a script. No Qt."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from medseg.bundles.catalogue import Bundle
from medseg.desktop.console.orders import ConsoleOrders, with_output
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.queue.scene_queue import import_run, prepare_run
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.worker.job_process import (
    MakeProcess,
    also_heard,
    call_now,
    interpreter,
)
from medseg.jobs.batch.report import BatchReport
from medseg.jobs.batch.run_batch import OnCase, ignore_case, segment_folder
from medseg.jobs.worker.client import WorkerClient
from medseg.jobs.worker.subprocess_worker import SubprocessTransport, WorkerProcess
from medseg.mrml.grids import Node
from medseg.mrml.sequences import proxy_of, remove_if_empty
from medseg.spec.errors import JobError
from medseg.spec.events import Event, Failed, Stopped, error_of
from medseg.spec.job import Bounds, Job
from medseg.spec.wire import AnyJob

OnFinished: TypeAlias = Callable[[Any, Exception | None], None]
"""Hears the result and None, or None and what went wrong."""


class ConsoleCall(ABC):
    """A call from the console under way; ``cancel`` stops it.

    Attributes:
        result: what it is about, when it has ended well.
        error: the exception when it has not.
        is_done: whether it has ended.

    Args:
        scene: the MRML scene; None where nothing of it is needed.
        make_process: as for ``JobQueue``.
        versions: of the programs, written beside a result.
        on_event: hears the worker's events.
        on_finished: hears of the end, once.
        later: as for ``JobQueue``.
    """

    def __init__(
        self,
        scene: Node,
        make_process: MakeProcess,
        *,
        versions: dict[str, str],
        on_event: Callable[[Event], None],
        on_finished: OnFinished = lambda _result, _error: None,
        later: Callable[[Callable[[], None]], None] = call_now,
    ) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.is_done = False
        self._on_finished = on_finished
        self._queue = JobQueue(
            also_heard(make_process, on_event),
            partial(prepare_run, scene),
            lambda run, finished: import_run(scene, run, finished, versions),
            on_log=logging.info,
            on_end=self._row_ended,
            later=later,
        )

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    def cancel(self) -> None:
        """Stop it; ``on_finished`` hears of it as ``Cancelled``. The same training goes on where it was."""
        self._queue.cancel_all()

    def close(self) -> None:
        """End the worker, and remove what a run that has not ended left."""
        self._queue.close()

    def wait(self) -> Any:
        """Do it now, where it was made with ``BlockingProcess``.

        Returns:
            The result.

        Raises:
            MedSegError: something the caller can mend, or it was cancelled.
            OSError: the job folder cannot be written.
            RuntimeError: the worker crashed, or the result cannot be shown; the message says where it is kept.
        """
        try:
            self.start()
        finally:
            self.close()
        if self.error is not None:
            raise self.error
        return self.result

    @abstractmethod
    def _row_ended(self, row: Row) -> None:
        """Take the end of a row."""


class SegmentCall(ConsoleCall):
    """A call of ``segment``; its result is the segmentation.

    Args:
        orders: the first that fails is the end of all.
        make_process: as for ``ConsoleCall``.
        more: as for ``ConsoleCall``.
    """

    def __init__(self, orders: ConsoleOrders, make_process: MakeProcess, **more: Any) -> None:
        super().__init__(orders.scene, make_process, **more)
        self._orders = orders
        scene = orders.scene
        self._tag: int | None = scene.AddObserver(scene.StartCloseEvent, self._leave_scene)

    def start(self) -> None:
        """Begin."""
        self._orders = with_output(self._orders)
        for order in self._orders.orders:
            if not self.is_done:
                self._queue.add(order)

    def close(self) -> None:
        """End the worker, and remove what a run that has not ended left."""
        self._stop_observing()
        remove_if_empty(self._orders.scene, self._orders.sequence)
        super().close()

    def _leave_scene(self, *_: object) -> None:
        self._orders = replace(self._orders, sequence=None)  # it goes with the scene
        self._queue.leave_scene()

    def _row_ended(self, row: Row) -> None:
        if self.is_done:
            return
        if row.state is State.DONE and row.result is not None and row.result.node is not None:
            self.result = row.result.node
            if row.number == len(self._orders.orders):
                self._end()
            return
        words = row.result.message if row.result is not None else row.details
        self.result, self.error = None, row.error or RuntimeError(words)
        self._end()
        self._queue.cancel_all()

    def _end(self) -> None:
        self.is_done = True
        self._stop_observing()
        sequence = self._orders.sequence
        if self.error is not None:
            remove_if_empty(self._orders.scene, sequence)
        elif sequence is not None:
            self.result = proxy_of(self._orders.scene, sequence) or sequence
        self._on_finished(self.result, self.error)

    def _stop_observing(self) -> None:
        if self._tag is not None:
            self._orders.scene.RemoveObserver(self._tag)
            self._tag = None


class BlockingProcess(WorkerClient):
    """``JobProcess`` that has done a job when ``start`` returns; its worker stays warm for the next.

    Args:
        on_event: hears the events, in the caller's thread.
        on_log: hears each line of the log, from a thread.
        python: interpreter; None: ``find_python()``.

    Raises:
        JobError: where no Python is found.
    """

    def __init__(
        self, on_event: Callable[[Event], None], on_log: Callable[[str], None], *, python: str | None = None
    ) -> None:
        self._pipes = SubprocessTransport()
        chosen = interpreter(python)
        super().__init__(self._pipes, on_event, on_log, lambda: chosen)

    def start(self, job: AnyJob, name: str = "") -> None:
        """Do the job."""
        super().start(job, name)
        while self.is_busy:
            self._pipes.turn()


def segment_folder_in_worker(
    source: Path,
    model: str | Bundle,
    output_folder: Path,
    settings: PanelSettings,
    roi: Bounds | Node,
    *,
    python: str | None = None,
    on_case: OnCase = ignore_case,
    on_event: Callable[[Event], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    **more: Any,
) -> BatchReport:
    """Segment a folder or a list in a worker, whose crash is the end of one case only.

    Args:
        source: as for ``medseg.jobs.batch.run_batch.segment_folder``, and so the others.
        model: a bundle, or the id of one.
        output_folder: for results and report.
        settings: how to run.
        roi: R-, R+, A-, A+, S-, S+ in RAS mm; None: everything; no node, whose voxels are those of one volume.
        python: interpreter; None: ``find_python()``.
        on_case: hears each row when it begins and when it ends.
        on_event: hears the worker's events.
        cancelled: asked between cases and at each event; True stops.
        more: ``suffix``, ``overwrite``, ``versions``.

    Raises:
        MedSegError: as ``segment_folder`` raises it; what goes wrong in a case is in its row.
    """
    if settings.probabilities or settings.entropy:
        msg = "a folder gets segmentations only, got a wish for probabilities or entropy; leave it out"
        raise JobError(msg)
    if not (roi is None or isinstance(roi, tuple)):
        msg = "a folder takes a region in mm, got a ROI node; give its bounds"
        raise JobError(msg)
    chosen = interpreter(python)
    with WorkerProcess(
        chosen.python, idle_seconds=chosen.idle_seconds, environment=chosen.environment, on_log=logging.info
    ) as worker:

        def run(job: Job, hear: Callable[[Event], None], stop: Callable[[], bool]) -> None:
            last: Event | None = None
            is_stopping = False
            for event in worker.run(job):
                hear(event)
                last = event
                if stop() and not is_stopping:
                    is_stopping = True
                    worker.cancel()
            if isinstance(last, Failed | Stopped):
                raise error_of(last)

        return segment_folder(
            source,
            model,
            output_folder,
            run=run,
            options=settings.options(roi),
            on_case=on_case,
            on_event=on_event,
            cancelled=cancelled,
            **more,
        )

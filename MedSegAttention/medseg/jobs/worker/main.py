"""The child process that runs jobs: ``python -m medseg.jobs.worker.main``, requests on stdin, events on stdout.

Both are lines of JSON (``spec.wire``, ``spec.events``); everything else goes to stderr. Torch is loaded while the
first request is on its way. The worker ends with its parent: when stdin is closed, or when the parent is gone.
"""

import argparse
import faulthandler
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from medseg.jobs.worker.imports import without_collecting
from medseg.jobs.worker.pipes import EventWriter, claim_pipes, read_lines
from medseg.jobs.worker.process_tree import die_with_parent, end_with_children, own_group, watch_parent
from medseg.jobs.worker.serve import Inbox, Refused, RunAny, bug_report, serve
from medseg.spec.errors import JobError
from medseg.spec.events import Described, Event, Failed, Progress, Stopped
from medseg.spec.export_job import ExportJob
from medseg.spec.import_job import ImportJob
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import AnyJob, Quit, Run, decode_job

_GRACE_SECONDS = 1.2  # for a job to clean up after its parent is gone


def main(
    arguments: Sequence[str] | None = None, load: Callable[[Callable[[Event], None]], "Loaded | None"] | None = None
) -> int:
    """Run the worker.

    Args:
        arguments: of the command line.
        load: imports what computes, given what takes events; None: what segments.

    Returns:
        0 when the one job named on the command line ended well; on requests always 0: each had its own answer.
    """
    options = _parser().parse_args(arguments)
    own_group()
    if options.die_with_parent:
        die_with_parent()
    requests, events = claim_pipes()
    faulthandler.enable()
    emit = EventWriter(events)
    sys.excepthook = partial(_report_uncaught, emit)
    inbox = Inbox()
    signal.signal(signal.SIGTERM, lambda *_: inbox.stop())
    leave = partial(_leave, inbox)
    if options.job is not None:
        try:
            inbox.put(Run(decode_job(options.job.read_bytes()), options.job.stem))
        except (OSError, JobError) as error:
            inbox.put(Refused(f"{options.job}: {error}"))
        inbox.put(Quit())

    def listen() -> None:
        inbox.listen(read_lines(requests))
        if options.job is None:
            leave()

    threading.Thread(target=listen, name="requests", daemon=True).start()
    watch_parent(leave)
    with without_collecting():
        loaded = (load or _load)(emit)
    if loaded is None:
        return 1
    inbox.answer_at_once(loaded.describe)
    all_well = serve(
        inbox, emit, loaded.run, idle_seconds=options.idle, after_job=loaded.after_job, describe=loaded.describe
    )
    return 0 if all_well or options.job is None else 1


@dataclass(frozen=True)
class Loaded:
    """What computes."""

    run: RunAny
    after_job: Callable[[], None] = lambda: None
    describe: Callable[[], None] = lambda: None


def _load(emit: Callable[[Event], None]) -> Loaded | None:
    """Import what computes, after the pipes were claimed: libraries print while they are imported.

    Returns:
        None when something is missing.
    """
    try:
        from medseg.inference.device import choose_device, describe_devices
        from medseg.jobs.export_job import run_export
        from medseg.jobs.import_job import run_import
        from medseg.jobs.run.kept_engines import KeptEngines
        from medseg.jobs.run.loaded_networks import LoadedNetworks
        from medseg.jobs.run.run_job import run_job
        from medseg.jobs.worker.usage import usage
    except ModuleNotFoundError as error:
        emit(missing(error))
        return None

    engines = KeptEngines()
    networks = LoadedNetworks(dropped=engines.forget)

    def run(job: AnyJob, emit: Callable[[Event], None], cancelled: Callable[[], bool]) -> None:
        if isinstance(job, ImportJob):
            run_import(job, emit, cancelled)
            return
        if isinstance(job, ExportJob):
            run_export(job, emit, cancelled)
            return
        if isinstance(job, TrainingJob):
            msg = f"this worker segments and does not train, got the training of {job.title!r}; start the other one"
            raise JobError(msg)

        def emit_usage_too(event: Event) -> None:
            emit(event)
            if (
                isinstance(event, Progress)
                and event.stage == "windows"
                and event.done
                and event.done in (1, event.total)
            ):
                emit(usage(choose_device(job.options.device), engines.latest))

        run_job(job, emit_usage_too, cancelled, load=networks.load, engines=engines)

    def after_job() -> None:
        engines.free_devices()
        networks.free_devices()

    return Loaded(run, after_job, lambda: emit(Described(describe_devices())))


def missing(error: ModuleNotFoundError) -> Failed:
    """What to say where a library is not installed."""
    return Failed(f"this needs {error.name}, which {sys.executable} does not have; install it there", is_bug=False)


def _leave(inbox: Inbox) -> None:
    """The parent is gone: stop the job, then end by force if it does not."""
    inbox.stop()
    timer = threading.Timer(_GRACE_SECONDS, end_with_children, [1])
    timer.daemon = True
    timer.start()


def _report_uncaught(
    emit: Callable[[Event], None], kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say what an uncaught error was before the worker ends with it."""
    emit(Stopped() if isinstance(error, KeyboardInterrupt) else bug_report(error))
    sys.__excepthook__(kind, error, trace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("medseg.jobs.worker.main", description="Runs jobs for another program.")
    parser.add_argument("job", type=Path, nargs="?", help="a file with one job as JSON; without it: requests on stdin")
    parser.add_argument("--idle", type=float, metavar="SECONDS", help="end after so long without a request")
    parser.add_argument(
        "--die-with-parent",
        action="store_true",
        help="Linux: be killed with the parent's thread that started this process, even inside a blocking library",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The child process that trains: ``python -m medseg.cli.training_worker``, the worker's protocol around a training.

It stands here because jobs and training do not know each other; see docs/adr/0009-training-as-a-job.md.
"""

import sys
from collections.abc import Callable, Sequence

from medseg.jobs.worker.main import Loaded, missing
from medseg.jobs.worker.main import main as run_worker
from medseg.spec.errors import JobError
from medseg.spec.events import Described, Event, Learning
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import AnyJob


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; see ``medseg.jobs.worker.main.main``."""
    return run_worker(arguments, load)


def load(emit: Callable[[Event], None]) -> Loaded | None:
    """Import what trains.

    Returns:
        None when something is missing.
    """
    try:
        from medseg.inference.device import choose_device, describe_devices
        from medseg.jobs.worker.usage import usage
        from medseg.training.train_job import run_training
    except ModuleNotFoundError as error:
        emit(missing(error))
        return None

    def run(job: AnyJob, on_event: Callable[[Event], None], cancelled: Callable[[], bool]) -> None:
        if not isinstance(job, TrainingJob):
            msg = f"this worker trains and does nothing else, got {job!r:.80}; start the other one"
            raise JobError(msg)
        device = choose_device(job.device)
        is_usage_known = False

        def with_usage(event: Event) -> None:
            """Pass events on, and the memory in use once, after the first step."""
            nonlocal is_usage_known
            if isinstance(event, Learning) and event.step and not is_usage_known:
                is_usage_known = True
                on_event(usage(device))
            on_event(event)

        run_training(job, with_usage, cancelled)

    return Loaded(run, describe=lambda: emit(Described(describe_devices())))


if __name__ == "__main__":
    sys.exit(main())

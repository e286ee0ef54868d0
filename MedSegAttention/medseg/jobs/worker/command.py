"""How a worker is started, and what to say of one that ended without an answer. Standard library only."""

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg.jobs.worker.priority import waiting_threads
from medseg.spec.events import Failed
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import AnyJob

SEGMENTING = "medseg.jobs.worker.main"
TRAINING = "medseg.cli.training_worker"  # above jobs and training, which do not know each other

_TAIL = 12  # lines of the log in the details
_PACKAGE_PARENT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Interpreter:
    """What a worker is started with."""

    python: str = sys.executable  # of 3.11 or later
    idle_seconds: float | None = None  # it ends after so long without a request; None: never
    environment: Mapping[str, str] | None = field(default=None, compare=False)  # to start from; None: this process's


def worker_module(job: AnyJob) -> str:
    """Which module does a job, in a process of its own."""
    return TRAINING if isinstance(job, TrainingJob) else SEGMENTING


def worker_command(interpreter: Interpreter, module: str = SEGMENTING) -> list[str]:
    """Give the command that starts a worker.

    ``-P`` keeps a ``torch.py`` in the current folder from being imported. When called from the main thread, which
    lives as long as its process, the worker is bound to it (``--die-with-parent``).

    Args:
        interpreter: and for how long it waits.
        module: what it runs, see ``worker_module``.
    """
    idle = [] if interpreter.idle_seconds is None else ["--idle", str(interpreter.idle_seconds)]
    bound = ["--die-with-parent"] if threading.current_thread() is threading.main_thread() else []
    return [interpreter.python, "-P", "-X", "utf8", "-m", module, *idle, *bound]


def worker_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the variables a worker needs: this package can be imported, and at a low priority its threads sleep.

    Args:
        environment: to start from; None: this process's.
    """
    variables = dict(os.environ if environment is None else environment)
    path = [str(_PACKAGE_PARENT), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    return {**waiting_threads(), **variables, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def describe_exit(code: int, log: Sequence[str]) -> Failed:
    """Make a failure of an exit without ``Finished``.

    Args:
        code: of the exit; a negative one is a signal, as ``subprocess`` has it.
        log: lines of the worker's stderr; the last ones are the details.
    """
    how = f"with exit code {code}" if code >= 0 else f"by {_signal_name(-code)}"
    if code < 0 and _signal_name(-code) == "SIGKILL":
        how += ", as the system does when memory runs out"
    tail = [line for line in log if line.strip()][-_TAIL:]
    how += "" if tail else "; it left no log"
    return Failed(f"the worker was ended {how}", is_bug=True, details="\n".join(tail))


def _signal_name(number: int) -> str:
    known = {each.value: each.name for each in signal.Signals}
    return known.get(number, f"signal {number}")

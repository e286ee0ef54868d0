"""The priority that a worker inherits: of a process that was started at a low one nobody sees why it is slow."""

import os


def niceness() -> int:
    """How far this process stands back behind others: 0 not at all, 19 as far as can be; Windows knows none."""
    ask = getattr(os, "getpriority", None)
    return 0 if ask is None else int(ask(os.PRIO_PROCESS, 0))


def waiting_threads() -> dict[str, str]:
    """Variables for a worker that stands back: its threads sleep while they wait for each other.

    Threads of OpenMP spin meanwhile; where others have the processors a thread that spins keeps them from the one that
    it waits for, and a run takes ten times as long.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE"} if niceness() > 0 else {}

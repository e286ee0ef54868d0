"""Things to measure take turns, A B A B: what else the machine does then disturbs all of them alike."""

import time
from collections.abc import Callable, Mapping

import torch

from performance.telling import tell


def clock() -> Callable[[], float]:
    """Processor time of this process with one thread, which others disturb least; wall time with several."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def take_turns(runs: Mapping[str, Callable[[], object]], *, rounds: int, budget_s: float) -> dict[str, list[float]]:
    """Seconds of each run in every round, after one round that is not counted.

    Args:
        runs: by name.
        rounds: at most.
        budget_s: wall seconds for all of it; no further round begins that would not fit, but one is always done.
    """
    read, begun = clock(), time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        run()
        tell(f"  warmed {name}")
    for number in range(rounds):
        round_begun = time.perf_counter()
        for name, run in runs.items():
            start = read()
            run()
            seconds[name].append(read() - start)
        now = time.perf_counter()
        tell(f"  round {number + 1} of at most {rounds}: {now - round_begun:.0f} s")
        if now - begun + (now - round_begun) > budget_s:
            break
    return seconds

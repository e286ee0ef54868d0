"""What one run over a volume spends: seconds by stage on two clocks, and memory in all and of the windows alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from performance.memory import Peak


class Spent:
    """Wall and processor seconds by stage; "network" lies inside "windows"."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.memory = Peak()
        self.windows_mib: float | None = None
        self.later: list[Callable[[], None]] = []  # done when nothing is counted any more

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count what happens inside for a stage."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall[stage] = self.wall.get(stage, 0.0) + time.perf_counter() - wall
        self.processor[stage] = self.processor.get(stage, 0.0) + time.process_time() - processor

    @contextmanager
    def on_windows(self) -> Iterator[None]:
        """Count the windows, until the labels are there: their memory is a figure of its own."""
        self.memory.restart()
        with self.on("windows"):
            yield
        self.windows_mib = self.memory.since_restart

    def timed(self, run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The same, counted as "network"."""

        def counted(x: Tensor) -> Tensor:
            with self.on("network"):
                return run(x)

        return counted

    def beyond_network(self, clock: dict[str, float]) -> float:
        """Seconds from the first window to the labels without the network and its getting ready."""
        return clock["windows"] - clock.get("network", 0.0) - clock.get("get ready", 0.0)

    def report(self) -> dict[str, Any]:
        """All of it, for JSON; stages that lie inside others are told apart."""
        stages = dict(self.wall)
        inside = sum(stages.get(name, 0.0) for name in ("network", "get ready", "stitch", "decode", "restore"))
        stages["stitch"] = stages.get("stitch", 0.0) + max(0.0, stages.pop("windows") - inside)
        return {
            "stages": stages,
            "wall": {"total": self.wall["total"], "network": self.wall.get("network", 0.0)},
            "processor": {"total": self.processor["total"], "network": self.processor.get("network", 0.0)},
            "stitch_decode": {"wall": self.beyond_network(self.wall), "processor": self.beyond_network(self.processor)},
            "peak_mib": self.memory.in_all,
            "windows_mib": self.windows_mib,
        }

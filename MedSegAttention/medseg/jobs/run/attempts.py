"""Ways to run a network, from what was asked for to what needs least memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from medseg.spec.job import EngineName, Options, Precision


@dataclass(frozen=True)
class Attempt:
    """One way to run a network; as text, what the user is told."""

    device: torch.device
    window_batch: int
    precision: Precision
    engine: EngineName

    def __str__(self) -> str:
        windows = "1 window" if self.window_batch == 1 else f"{self.window_batch} windows"
        engine = "" if self.engine == "auto" else f" by {self.engine}"
        return f"{windows} at a time in {self.precision} on {self.device}{engine}"


def attempts(device: torch.device, options: Options) -> Iterator[Attempt]:
    """Give ways to run, each with less memory than the one before on its device.

    First what was asked for, then half as many windows at a time until there is one. After that a graphics card goes
    to half precision, unless one was asked for already, and then hands over to the processor; a processor leaves
    OpenVINO for PyTorch. No way gives other labels, but for rounding.

    Args:
        device: where the network was to run.
        options: what the user chose.
    """
    last = Attempt(device, options.window_batch, options.precision, options.engine)
    yield last
    while last.window_batch > 1:
        last = replace(last, window_batch=last.window_batch // 2)
        yield last
    if device.type == "cpu":
        if options.engine != "torch":
            yield replace(last, engine="torch")
        return
    if options.precision == "float32":
        yield replace(last, precision="float16")
    yield Attempt(torch.device("cpu"), 1, "float32", options.engine)
    if options.engine != "torch":
        yield Attempt(torch.device("cpu"), 1, "float32", "torch")

"""Operators of D-LKA Net on one thread against their plain forms: time, extra memory and the largest difference.

Run with ``python Testing/Benchmarks/operators.py``; half a minute. Times are the process's own processor time, runs of
both forms take turns, and a ratio is the median over the rounds: other programs disturb that least.
"""

import ctypes
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.networks.ops.deform_conv import deform_conv
from medseg.networks.ops.dilated_depthwise import dilated_depthwise

ROUNDS = 5
SIZES = ((32, 32), (64, 16))  # channels, voxels an axis; of the published network's first two stages
BARS = {"deformable 3^3": 4.0, "depthwise 7^3, dilation 3": 10.0}


def main() -> None:
    """Print one line an operator and size."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"load {os.getloadavg()[0]:.1f}; bars hold for 32 channels at 32^3, where the deformable one may take 40 MiB")
    titles = f"{'operator':28}{'C':>4}{'size':>7}{'plain ms':>10}{'ours ms':>9}{'ratio':>7}{'bar':>6}"
    print(titles + f"{'MiB':>6}{'difference':>12}")
    for channels, size in SIZES:
        for name, plain, ours in operators(channels, size):
            line(name, channels, size, plain, ours)


def operators(channels: int, size: int) -> list[tuple[str, Callable[[], Tensor], Callable[[], Tensor]]]:
    """Name, plain form, ours."""
    x, bias = torch.randn(1, channels, *[size] * 3), torch.randn(channels)
    offset = 1.5 * torch.randn(1, 81, *[size] * 3)
    weight = torch.randn(channels, channels, 3, 3, 3) / 30
    far = torch.randn(channels, 1, 7, 7, 7) / 20
    return [
        (
            "deformable 3^3",
            lambda: tap_by_tap(x, offset, weight, bias),
            lambda: deform_conv(x, offset, weight, bias, padding=1),
        ),
        (
            "depthwise 7^3, dilation 3",
            lambda: F.conv3d(x, far, bias, padding=9, dilation=3, groups=channels),
            lambda: dilated_depthwise(x, far, bias, dilation=3),
        ),
    ]


def tap_by_tap(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The straightforward deformable convolution: one ``grid_sample`` a tap."""
    sizes = x.shape[2:]
    offset = offset.view(27, 3, *sizes)
    grid = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in sizes], indexing="ij"))
    scale = 2 / (torch.tensor(sizes).view(3, 1, 1, 1) - 1)
    result = torch.zeros(1, len(weight), *sizes)
    for number, tap in enumerate(itertools.product((-1, 0, 1), repeat=3)):
        position = (grid + torch.tensor(tap).view(3, 1, 1, 1) + offset[number]) * scale - 1
        sampled = F.grid_sample(x, position.movedim(0, -1).flip(-1)[None], align_corners=True)
        result += F.conv3d(sampled, weight.flatten(2)[:, :, number, None, None, None])
    return result + bias.view(-1, 1, 1, 1)


def line(name: str, channels: int, size: int, plain: Callable[[], Tensor], ours: Callable[[], Tensor]) -> None:
    """Measure and print one line."""
    with torch.inference_mode():
        difference = float((plain() - ours()).abs().max())
        memory = extra_memory_mib(ours)
        slow, fast = take_turns([plain, ours], ROUNDS)
    ratio = statistics.median(one / other for one, other in zip(slow, fast, strict=True))
    print(
        f"{name:28}{channels:4}{size:5}^3{1e3 * statistics.median(slow):9.1f}{1e3 * statistics.median(fast):9.1f}"
        f"{ratio:7.1f}{BARS[name]:6.1f}{memory:>6}{difference:12.1e}"
    )


def take_turns(runs: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Processor seconds of each run in every round, A B A B."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for times, run in zip(seconds, runs, strict=True):
            begun = time.process_time()
            run()
            times.append(time.process_time() - begun)
    return seconds


def extra_memory_mib(run: Callable[[], object]) -> str:
    """How far a run raises the process's peak; "-" where the system does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier runs left would be used again and not be seen
        reset.write_text("5")
    except OSError:
        return "-"
    before = memory_kib(status, "VmRSS")
    run()
    return f"{(memory_kib(status, 'VmHWM') - before) / 1024:.0f}"


def memory_kib(status: Path, field: str) -> int:
    """One line of a process's status."""
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


if __name__ == "__main__":
    main()

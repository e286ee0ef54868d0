"""What one forward pass of each network takes at its published input: memory, multiply-accumulates, seconds.

Run with ``python Testing/Benchmarks/network_cost.py [part of a name]`` on Linux. Each network runs in a process of its
own with one thread and random weights; the table is Markdown.
"""

import json
import os
import subprocess
import sys

from medseg.networks.published import PUBLISHED, Published, measure

CHILD = """
import json, sys, time
from pathlib import Path
import torch
from medseg.networks import build_network
from medseg.networks.published import PUBLISHED

def resident_mb(field):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) // 1024

torch.manual_seed(0)
row = PUBLISHED[int(sys.argv[1])]
network, image = build_network(row.network, **row.arguments).eval(), torch.randn(row.shape)
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what was imported
before = resident_mb("VmRSS")
start = time.perf_counter()
with torch.no_grad():
    network(image)
print(json.dumps([before, resident_mb("VmHWM"), time.perf_counter() - start]))
"""


def main() -> None:
    """Print the table; "at rest" is the program with its weights, before the pass."""
    print("| network | variant | input | parameters | MACs G | at rest MiB | peak MiB | seconds |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for number, row in enumerate(PUBLISHED):
        if not sys.argv[1:] or sys.argv[1] in f"{row.network} {row.variant}":
            print(f"| {' | '.join(cells(number, row))} |", flush=True)


def cells(number: int, row: Published) -> list[str]:
    """One configuration, run in a child process; question marks where a package it needs is not installed."""
    named = [row.network, row.variant, " x ".join(map(str, row.shape[1:]))]
    try:
        counted = measure(row)
    except ImportError:
        return [*named, *"?????"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(number)], env=environment, capture_output=True, check=True, encoding="utf-8"
    )
    before, peak, seconds = json.loads(done.stdout)
    parameters = f"{counted.parameters:,}".replace(",", " ")
    return [*named, parameters, f"{counted.macs / 1e9:.3f}", str(before), str(peak), f"{seconds:.1f}"]


if __name__ == "__main__":
    main()

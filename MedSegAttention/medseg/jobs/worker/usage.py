"""What a running network takes: the device, the threads and the memory."""

import os
from pathlib import Path

import torch

from medseg.inference.device import device_name
from medseg.kernels.engines.engine import Engine
from medseg.spec.events import Using


def usage(device: torch.device, engine: Engine | None = None) -> Using:
    """Say what this process takes of a device now.

    Memory is what torch holds of a graphics card, or the resident memory of this process.

    Args:
        device: where the network runs.
        engine: what runs it.
    """
    if device.type == "cuda":
        memory: int | None = torch.cuda.memory_reserved(device) // 2**20
    elif device.type == "mps":
        memory = torch.mps.driver_allocated_memory() // 2**20
    else:
        memory = _resident_mb()
    return Using(device_name(device), torch.get_num_threads(), memory, "" if engine is None else engine.description)


def _resident_mb() -> int | None:
    """Main memory this process holds, in MiB; None where neither Linux's ``/proc`` nor psutil can tell."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    try:
        import psutil  # optional: Slicer does not bring it
    except ImportError:
        return None
    return int(psutil.Process().memory_info().rss) // 2**20

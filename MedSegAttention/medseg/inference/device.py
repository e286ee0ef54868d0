"""Where a network runs: the user's word for it, checked against what this machine has, and the memory that is free."""

import platform
from pathlib import Path

import torch

from medseg.inference.main_memory import main_memory_mb
from medseg.spec.errors import JobError
from medseg.spec.events import Device


def available_devices() -> tuple[str, ...]:
    """Names this machine accepts besides "auto": CUDA cards, then Apple's graphics, then the processor."""
    cuda = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return (*cuda, *mps, "cpu")


def choose_device(name: str) -> torch.device:
    """Turn a user's word into a device.

    Apple's graphics are used only when asked for by name: PyTorch before 2.9 cannot pool volumes on them, and the
    models have not been checked there.

    Args:
        name: "auto" (the first CUDA card, else the processor), "cpu", "cuda" (the first), "cuda:1" or "mps".

    Raises:
        JobError: when this machine has no such device.
    """
    available = available_devices()
    automatic = next(device for device in available if device != "mps")
    wanted = {"auto": automatic, "cuda": "cuda:0"}.get(name, name)
    if wanted not in available:
        msg = f"no device {name!r} can be used on this machine; choose auto, {', '.join(available)}"
        raise JobError(msg)
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """What the device is called by its maker, with torch's name for it, e.g. "NVIDIA RTX A2000 (cuda:0)"."""
    return f"{device_title(device)} ({device})"


def device_title(device: torch.device) -> str:
    """What the device is called by its maker, e.g. "NVIDIA RTX A2000"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    listing = Path("/proc/cpuinfo")  # platform.processor() is empty on many Linux systems
    if listing.is_file():
        for line in listing.read_text(errors="replace").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name" and name.strip():
                return name.strip()
    return platform.processor() or platform.machine()


def describe_devices() -> tuple[Device, ...]:
    """Each device ``choose_device`` takes by name: CUDA cards, Apple's graphics, last the processor."""
    devices = map(torch.device, available_devices())
    return tuple(Device(str(device), device_title(device), *_memory_mb(device)) for device in devices)


def _memory_mb(device: torch.device) -> tuple[int | None, int | None]:
    """Free memory and all of it, in MiB."""
    if device.type == "cpu":
        return main_memory_mb()
    try:
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
        else:
            total = torch.mps.recommended_max_memory()
            free = total - torch.mps.driver_allocated_memory()
    except RuntimeError:  # a card that is lost, or so full that it cannot even be asked
        return None, None
    return free // 2**20, total // 2**20

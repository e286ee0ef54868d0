"""What a network can run on here, with the memory that is free now."""

import torch

from medseg.inference.device import available_devices, device_title
from medseg.inference.main_memory import main_memory_mb
from medseg.spec.events import Device


def describe_devices() -> tuple[Device, ...]:
    """Each device ``choose_device`` takes by name: CUDA cards, Apple's graphics, last the processor."""
    return tuple(_describe(torch.device(name)) for name in available_devices())


def _describe(device: torch.device) -> Device:
    return Device(str(device), device_title(device), *_memory_mb(device))


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

"""Main memory of this computer. Standard library; psutil where it is."""

import os
from pathlib import Path

_LISTING = Path("/proc/meminfo")


def main_memory_mb() -> tuple[int | None, int | None]:
    """What a new process can have and what there is, in MiB; None for what neither psutil nor the system tells."""
    try:
        import psutil  # optional: Slicer does not bring it
    except ImportError:
        if _LISTING.is_file():  # Linux; its lines are "MemAvailable:   123 kB"
            lines = (line.split() for line in _LISTING.read_text(encoding="ascii").splitlines())
            sizes = {words[0]: int(words[1]) // 1024 for words in lines if len(words) > 1}
            return sizes.get("MemAvailable:"), sizes.get("MemTotal:")
        if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):  # macOS
            return None, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        return None, None
    memory = psutil.virtual_memory()
    return int(memory.available) // 2**20, int(memory.total) // 2**20

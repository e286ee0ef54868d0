"""What a run was like: processor, versions, load; figures mean little without it."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

PACKAGES = ("torch", "openvino", "monai", "nnunetv2", "numpy", "SimpleITK")


def conditions(setting: str, threads: int) -> Mapping[str, str]:
    """Titles and texts for the page."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "setting": setting,
        "processor": processor(),
        "threads": f"1 and {threads}",
        "memory": memory(),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "load average at the start": load(),
    }


def processor() -> str:
    """Its name as the system tells it, and the instructions that matter most here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    flags = found.get("flags", "").split()
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return f"{found.get('model name', platform.machine())} ({', '.join(known)})"


def memory() -> str:
    """Of the machine."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def version(name: str) -> str:
    """Of a package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def load() -> str:
    """Of the last minute; 0 means that nothing else ran."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"

"""How large a run is: sizes, rounds and minutes."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One whole-volume case."""

    shape: tuple[int, int, int]
    labels: int
    threads: int
    methods: tuple[str, ...]
    stages: bool = False  # also shown stage by stage


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every part is told.

    Attributes:
        name: "quick" or "full".
        rounds: at most, of short runs.
        seconds: wall seconds a part may take; runs are begun as long as they fit, one round is always done.
        cube: voxels an axis of a window.
        overlap: of the windows of whole volumes.
        volumes: whole-volume cases.
        folder: for compiled networks, phantoms and models of this run.
        threads: all threads.
    """

    name: str
    rounds: int
    seconds: float
    cube: int
    networks: tuple[str, ...]
    overlap: float
    volumes: tuple[Volume, ...]
    folder: Path
    threads: int


ALL = ("MONAI", "nnU-Net", "ours, torch", "ours, auto")
TWO = ("MONAI", "ours, auto")
SHARES = {"networks": 0.38, "operators": 0.05, "volumes": 0.42, "stitching": 0.15}


def setting_of(name: str, *, minutes: float, folder: Path) -> dict[str, Setting]:
    """The setting of each part, by the part's name."""
    count = all_threads()
    return {part: _setting(name, 60 * minutes * share, folder, count) for part, share in SHARES.items()}


def all_threads() -> int:
    """Threads this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _setting(name: str, seconds: float, folder: Path, count: int) -> Setting:
    large, cube, small = (512, 512, 200), (256, 256, 256), (128, 128, 112)
    if name == "quick":
        volumes = (
            Volume(shape=small, labels=14, threads=1, methods=("plain path", *ALL), stages=True),
            Volume(shape=small, labels=2, threads=count, methods=TWO),
        )
        size, networks = 64, ("base", "SegResNet")
    else:
        volumes = (
            Volume(shape=large, labels=14, threads=1, methods=("MONAI", "nnU-Net", "ours, auto"), stages=True),
            Volume(shape=large, labels=2, threads=count, methods=TWO),
            Volume(shape=cube, labels=14, threads=count, methods=("plain path", *ALL)),
            Volume(shape=cube, labels=2, threads=count, methods=TWO),
        )
        size, networks = 96, ("base", "M", "DynUNet", "SegResNet", "SwinUNETR", "D-LKA")
    return Setting(
        name=name,
        rounds=3,
        seconds=seconds,
        cube=size,
        networks=networks,
        overlap=0.25,
        volumes=volumes,
        folder=folder,
        threads=count,
    )

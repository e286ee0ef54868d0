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
class NnunetModel:
    """A model of nnU-Net over a volume.

    Attributes:
        shape: voxels of the volume.
        labels: outputs, background included.
        patch: voxels an axis of a window.
        features: of each stage.
    """

    shape: tuple[int, int, int]
    labels: int
    patch: int
    features: tuple[int, ...]


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
        nnunet: what nnU-Net's own predictor is compared on.
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
    nnunet: NnunetModel
    folder: Path
    threads: int


ALL = ("MONAI", "nnU-Net", "ours, torch", "ours, auto")
TWO = ("MONAI", "ours, auto")
SHARES = {"networks": 0.25, "operators": 0.04, "volumes": 0.28, "nnunet": 0.33, "stitching": 0.1}


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
        nnunet = NnunetModel(shape=small, labels=6, patch=48, features=(8, 16, 32))
    else:
        volumes = (
            Volume(shape=large, labels=14, threads=1, methods=("MONAI", "nnU-Net", "ours, auto"), stages=True),
            Volume(shape=large, labels=2, threads=count, methods=TWO),
            Volume(shape=cube, labels=14, threads=count, methods=("plain path", *ALL)),
            Volume(shape=cube, labels=2, threads=count, methods=TWO),
        )
        nnunet = NnunetModel(shape=large, labels=24, patch=96, features=(16, 32, 64, 128, 160))
        size, networks = 96, ("base", "M", "DynUNet", "SegResNet", "SwinUNETR", "D-LKA")
    return Setting(
        name=name,
        rounds=3,
        seconds=seconds,
        cube=size,
        networks=networks,
        overlap=0.25,
        volumes=volumes,
        nnunet=nnunet,
        folder=folder,
        threads=count,
    )

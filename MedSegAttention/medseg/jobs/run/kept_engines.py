"""Engines kept between the jobs of a warm worker: what was prepared or compiled once runs the next job at once."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from medseg.inference.predictor import network_shape
from medseg.kernels.engines.engine import Engine
from medseg.kernels.engines.make import is_worth_more, make_engine
from medseg.kernels.engines.openvino_engine import openvino_is_installed
from medseg.spec.job import EngineName, Precision
from medseg.spec.manifest import ModelManifest

_Key: TypeAlias = tuple[int, str, Precision, tuple[int, ...], int, EngineName, bool]


@dataclass(frozen=True, eq=False)
class _Kept:
    """An engine, and what it was made from and for."""

    network: nn.Module  # held: its identity is part of the key
    device: torch.device
    engine: Engine
    passes: int | None  # forward passes so far, with those that are coming; None: many


class KeptEngines:
    """The engines used last.

    Whoever drops a network must ``forget`` it: an engine holds the network, or a copy of its weights.

    Args:
        limit: engines kept; the one unused for longest makes room.
        folder: where compiled networks are kept; None: ``compiled_cache.default_folder()``.
    """

    def __init__(self, limit: int = 4, folder: Path | None = None) -> None:
        self._limit = limit
        self._folder = folder
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self.latest: Engine | None = None  # the one handed out last

    def get(
        self,
        network: nn.Module,
        manifest: ModelManifest,
        *,
        name: EngineName,
        device: torch.device,
        precision: Precision,
        passes: int | None,
        real_windows: Tensor | None = None,
    ) -> Engine:
        """Give the engine of a network, made where there is none; the same object as long as nothing changed.

        Passes of one job after the other add up: an engine that was made in haste for a small job is made anew when
        a faster one begins to pay.

        Args:
            network: in evaluation mode; its weights stay as they are as long as it is not forgotten.
            manifest: the model's.
            name: as the user chose.
            device: where the network runs.
            precision: of its arithmetic.
            passes: forward passes that are coming, windows times flips; None: many.
            real_windows: ``(B, *network_shape(manifest))`` prepared windows of the image; OpenVINO runs in bfloat16
                only after it gave them the labels of float32.

        Raises:
            JobError: for a name that no engine has.
        """
        shape = network_shape(manifest)
        # The optional package may be installed while a worker waits.
        key = (id(network), str(device), precision, shape, torch.get_num_threads(), name, openvino_is_installed())
        known = self._kept.pop(key, None)
        total = passes
        if known is not None:
            total = None if passes is None or known.passes is None else known.passes + passes
        if known is None or is_worth_more(known.engine, total):
            engine = make_engine(
                network,
                shape,
                name=name,
                device=device,
                precision=precision,
                passes=total,
                folder=self._folder,
                real_windows=real_windows,
            )
        else:
            engine = known.engine
            network.to(device)  # another job may have moved it, and the engine may be no copy
        self._kept[key] = _Kept(network, device, engine, total)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        self.latest = engine
        return engine

    def forget(self, network: nn.Module) -> None:
        """Drop the engines of a network that is dropped, or whose weights change."""
        self._drop([key for key, kept in self._kept.items() if kept.network is network])

    def free_devices(self) -> None:
        """Drop the engines that hold memory of graphics cards; those of the processor stay."""
        self._drop([key for key, kept in self._kept.items() if kept.device.type != "cpu"])

    def _drop(self, keys: list[_Key]) -> None:
        self.latest = None
        for key in keys:
            del self._kept[key]

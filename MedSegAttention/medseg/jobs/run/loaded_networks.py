"""Networks kept between the jobs of a warm worker, as long as their files have not changed."""

import gc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.spec.manifest import ModelManifest


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network, and what it was made from."""

    manifest: ModelManifest
    stamp: tuple[int, int]  # time of change (ns) and bytes of the weights
    network: nn.Module


class LoadedNetworks:
    """The networks used last.

    A network stays on the device where it last ran until ``free_devices``; running it elsewhere moves it, so that
    there is one copy of each.

    Args:
        limit: networks kept; the one unused for longest makes room.
        dropped: hears of each network that is not kept any more, e.g. ``KeptEngines.forget``.
    """

    def __init__(self, limit: int = 2, dropped: Callable[[nn.Module], None] = lambda _network: None) -> None:
        self._limit = limit
        self._dropped = dropped
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()

    def load(self, bundle: Bundle) -> nn.Module:
        """Give a bundle's network, read anew when the bundle changed; raises as ``load_network`` does."""
        folder = bundle.folder.resolve()
        stamp = _stamp(bundle.weights_path)
        known = self._loaded.pop(folder, None)
        if known is not None and (known.manifest, known.stamp) != (bundle.manifest, stamp):
            self._dropped(known.network)
            known = None
        if known is None:
            known = _Loaded(bundle.manifest, stamp, load_network(bundle))
        self._loaded[folder] = known
        while len(self._loaded) > self._limit:
            self._dropped(self._loaded.popitem(last=False)[1].network)
        return known.network

    def clear(self) -> None:
        """Drop every network, and give the memory of graphics cards back."""
        while self._loaded:
            self._dropped(self._loaded.popitem()[1].network)
        self.free_devices()

    def free_devices(self) -> None:
        """Give all memory of graphics cards back: networks wait in main memory."""
        for loaded in self._loaded.values():
            loaded.network.to("cpu")
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return
        gc.collect()  # what an error's traceback held in a circle
        torch.cuda.empty_cache()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:  # load_network says what is wrong
        return 0, 0
    return stat.st_mtime_ns, stat.st_size

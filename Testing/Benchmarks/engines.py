"""Networks on one thread under each engine, against their own eager form and against MONAI's networks.

Run with ``python Testing/Benchmarks/engines.py [rounds [network ...]]``; some minutes, most of them for SwinUNETR.
Weights are random. Times are the process's own processor time, all take turns in one run, and a ratio is the median
over the rounds.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from operators import take_turns, tap_by_tap
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.inference.engines.engine import EngineRefused
from medseg.inference.engines.openvino_engine import openvino_engine
from medseg.inference.engines.torch_engine import torch_engine
from medseg.networks import build_network
from medseg.networks.blocks import deformable_lka

CUBE = (1, 96, 96, 96)
SLAB = (1, 64, 128, 128)
CPU = torch.device("cpu")
OURS = ("base", "M", "D-LKA")
PEERS = ("DynUNet", "SegResNet", "SwinUNETR")
BARS = (  # what, against what, at least
    ("base openvino", "base eager", 3.5),
    ("base torch", "base eager", None),
    ("base openvino", "DynUNet eager", 18),
    ("base openvino", "SwinUNETR eager", 50),
    ("base openvino", "DynUNet openvino", 9),
    ("base openvino", "SegResNet openvino", 5),
    ("base openvino", "SwinUNETR openvino", 18),
    ("M openvino", "DynUNet eager", 9),
    ("D-LKA torch", "D-LKA plain", 1.9),
    ("D-LKA openvino", "D-LKA plain", 3.5),
)


def main() -> None:
    """Print what getting ready costs, the times and the bars."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    wanted = sys.argv[2:] or [*OURS, *PEERS]
    runs: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network in cube_networks().items():
            if name in wanted:
                add(runs, name, network, CUBE, Path(folder))
        if "D-LKA" in wanted:
            network = alive(build_network("dlka_net", label_count=14))
            add(runs, "D-LKA", network, SLAB, Path(folder))
            runs["D-LKA plain"] = plainly(network, torch.randn(1, *SLAB))
    for run in runs.values():
        run()
    print(f"\nload {os.getloadavg()[0]:.1f}, {rounds} rounds")
    seconds = dict(zip(runs, take_turns(list(runs.values()), rounds), strict=True))
    for name, times in seconds.items():
        print(f"{name:22}{1e3 * statistics.median(times):10.0f} ms  [{1e3 * min(times):.0f}..{1e3 * max(times):.0f}]")
    print(f"\n{'what':18}{'against':22}{'times as fast':>14}{'bar':>6}")
    for what, against, bar in BARS:
        if what in seconds and against in seconds:
            ratio = statistics.median(b / a for a, b in zip(seconds[what], seconds[against], strict=True))
            print(f"{what:18}{against:22}{ratio:14.2f}{'' if bar is None else bar:>6}")


def cube_networks() -> dict[str, nn.Module]:
    """Ours and MONAI's, 14 labels."""
    from monai.networks.nets import DynUNet, SegResNet, SwinUNETR

    networks = {
        "base": build_network("ultralight_unet", label_count=14),
        "M": build_network("ultralight_unet", label_count=14, widths="M"),
        "DynUNet": DynUNet(
            3, 1, 14, [3] * 6, [1, 2, 2, 2, 2, 2], [2] * 5, filters=[32, 64, 128, 256, 320, 320], norm_name="instance"
        ),
        "SegResNet": SegResNet(spatial_dims=3, init_filters=16, in_channels=1, out_channels=14),
        "SwinUNETR": SwinUNETR(in_channels=1, out_channels=14, feature_size=48),
    }
    return {name: alive(network) for name, network in networks.items()}


def alive(network: nn.Module) -> nn.Module:
    """Weights as training leaves them: norms that move, scales and offsets that are not zero."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(requires_grad=False)
        if name.endswith("scale"):
            parameter.fill_(0.3)
        elif "offset.weight" in name:
            parameter.normal_(0, 0.05)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network.eval()


def add(
    runs: dict[str, Callable[[], object]], name: str, network: nn.Module, shape: tuple[int, ...], folder: Path
) -> None:
    """A network under every engine that takes it."""
    x = torch.randn(1, *shape)
    runs[f"{name} eager"] = lambda: answer(network, x)
    engines: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "torch": lambda: torch_engine(network, shape, device=CPU),
        "openvino": lambda: openvino_engine(network, shape, folder=folder),
    }
    if name not in OURS:
        del engines["torch"]
    for kind, make in engines.items():
        begun = time.process_time()
        try:
            engine = make()
        except EngineRefused as refused:
            print(f"{name} {kind}: {refused}")
            continue
        print(f"{name} {kind}: ready after {time.process_time() - begun:.1f} s of processor time", flush=True)
        runs[f"{name} {kind}"] = lambda engine=engine: engine(x)  # type: ignore[misc]


def answer(network: nn.Module, x: Tensor) -> Tensor:
    """Eager PyTorch."""
    with torch.inference_mode():
        result: Tensor = network(x)
        return result


def plainly(network: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """D-LKA Net with one ``grid_sample`` a tap and PyTorch's own dilated convolution."""

    class Plain(nn.Module):
        def __init__(self, pack: nn.Module) -> None:
            super().__init__()
            self.pack = pack

        def forward(self, x: Tensor) -> Tensor:
            return tap_by_tap(x, self.pack.offset(x), self.pack.weight, self.pack.bias)  # type: ignore[operator,arg-type]

    def far(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, dilation: int) -> Tensor:
        return F.conv3d(x, weight, bias, padding=3 * dilation, dilation=dilation, groups=len(weight))

    def run() -> Tensor:
        gates = [module.gate for module in network.modules() if isinstance(module, deformable_lka.DeformableLKA)]
        packs = [gate.deform for gate in gates]
        ours = deformable_lka.dilated_depthwise
        for gate, pack in zip(gates, packs, strict=True):
            gate.deform = Plain(pack)  # type: ignore[assignment]
        deformable_lka.dilated_depthwise = far  # type: ignore[assignment]
        try:
            return answer(network, x)
        finally:
            deformable_lka.dilated_depthwise = ours
            for gate, pack in zip(gates, packs, strict=True):
                gate.deform = pack

    return run


if __name__ == "__main__":
    main()

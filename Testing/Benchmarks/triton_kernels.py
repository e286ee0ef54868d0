"""Triton's kernels on a GPU against PyTorch's forms, cuDNN and tvdcn: milliseconds, forward and with gradients.

Run with ``python Testing/Benchmarks/triton_kernels.py`` where there is a CUDA device; elsewhere it says so and ends.
Times are medians of CUDA events, one run after another in turns, the card's cache overwritten before each.
"""

import copy
import statistics
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.kernels.triton import selection
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.ops import accelerated
from medseg.networks.ops.deform_conv import deform_conv
from medseg.networks.ops.deform_passes import Settings, convolve, convolve_backward
from medseg.networks.ops.multi_kernel import branches_in_one_pass

ROUNDS = 30
WARM_UP = 3
DEFORM_SIZES = ((32, 32), (64, 16), (128, 8), (256, 4))  # channels, voxels an axis: the published network's stages
DEPTHWISE_SIZES = ((32, 96), (64, 48), (128, 24))
DTYPES = (torch.float32, torch.float16, torch.bfloat16)

Run = Callable[[], object]


def main() -> None:
    """Print a table an operator and dtype, or why there is none."""
    if not torch.cuda.is_available():
        print("no CUDA device here, so nothing was measured")
        return
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, kernels {selection.kernels_here()}")
    for dtype in DTYPES:
        for channels, size in DEFORM_SIZES:
            show(f"deformable {channels} x {size}^3 {dtype}", deform_runs(channels, size, dtype))
        for channels, size in DEPTHWISE_SIZES:
            show(f"depthwise 1+3+5 {channels} x {size}^3 {dtype}", depthwise_runs(channels, size, dtype))


def deform_runs(channels: int, size: int, dtype: torch.dtype) -> dict[str, Run]:
    """Both forms and tvdcn's, forward and with all gradients; without those that cannot run here."""
    x, above = (torch.randn(2, channels, *[size] * 3, device="cuda", dtype=dtype) for _ in range(2))
    offset = 1.5 * torch.randn(2, 81, *[size] * 3, device="cuda")
    weight = (torch.randn(channels, channels, 3, 3, 3, device="cuda") / 30).to(dtype)
    bias = torch.randn(channels, device="cuda", dtype=dtype)
    ones = (1, 1, 1)
    settings = Settings(ones, ones, ones, groups=1, deformable_groups=1)
    leaves = [value.detach().clone().requires_grad_() for value in (x, offset, weight, bias)]

    def plain_gradients() -> None:
        convolve(x, offset, weight, bias, settings)
        convolve_backward(above, x, offset, weight, settings, (True, True, True))

    runs: dict[str, Run] = {
        "PyTorch": lambda: convolve(x, offset, weight, bias, settings),
        "PyTorch, with gradients": plain_gradients,
        "ordinary convolution of that size": lambda: F.conv3d(x, weight, bias, padding=1),
    }
    if accelerated.kernels_for("deform_conv", [x, offset, weight, bias]) is not None:
        runs["Triton"] = lambda: deform_conv(x, offset, weight, bias, padding=1)
        runs["Triton, with gradients"] = lambda: torch.autograd.grad(deform_conv(*leaves, padding=1), leaves, above)
    tvdcn: Any = foreign("tvdcn")
    if tvdcn is not None and dtype != torch.bfloat16:
        moved = [value.detach().to(dtype).requires_grad_() for value in (x, weight, offset, bias)]

        def theirs() -> Tensor:
            image, taps, by, plus = moved
            result: Tensor = tvdcn.deform_conv3d(image, taps, by, None, plus, padding=ones)
            return result

        runs["tvdcn"] = torch.no_grad()(theirs)
        runs["tvdcn, with gradients"] = lambda: torch.autograd.grad(theirs(), moved, above)
    return runs


def depthwise_runs(channels: int, size: int, dtype: torch.dtype) -> dict[str, Run]:
    """The branches of a block in inference and in training, on the kernel and by cuDNN in both layouts."""
    learning = MKIR(3, channels // 2, channels // 2).to("cuda", dtype).depthwise.train()
    fixed = copy.deepcopy(learning).eval()
    x = torch.randn(2, channels, *[size] * 3, device="cuda", dtype=dtype)
    last = x.to(memory_format=torch.channels_last_3d)

    def by_turns(image: Tensor, branches: Any) -> Tensor:
        result: Tensor = branches[0](image) + branches[1](image) + branches[2](image)
        return result

    def inference(form: Callable[[Tensor, Any], Tensor | None], image: Tensor) -> Run:
        return torch.inference_mode()(lambda: form(image, fixed))

    def training(form: Callable[[Tensor, Any], Any], image: Tensor) -> Run:
        leaf = image.detach().clone().requires_grad_()
        leaves = [leaf, *learning.parameters()]
        return lambda: torch.autograd.grad(form(leaf, learning).sum(), leaves)

    runs: dict[str, Run] = {}
    for kind, use in (("inference", inference), ("training", training)):
        for layout, image in (("", x), (", channels last", last)):
            runs[f"cuDNN, {kind}{layout}"] = use(by_turns, image)
            if branches_in_one_pass(image, fixed) is not None:
                runs[f"Triton, {kind}{layout}"] = use(branches_in_one_pass, image)
    return runs


def foreign(name: str) -> object | None:
    """Another library, where it can be loaded beside this PyTorch."""
    try:
        return import_module(name)
    except (ImportError, OSError, RuntimeError):
        return None


def show(title: str, runs: dict[str, Run]) -> None:
    """Measure in turns and print; ratios are to the first run's median."""
    flush = torch.empty(2**28, dtype=torch.uint8, device="cuda")  # more than any card's cache
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(WARM_UP + ROUNDS):
        for name, run in runs.items():
            flush.zero_()
            begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begun.record()
            run()
            ended.record()
            torch.cuda.synchronize()
            if number >= WARM_UP:
                times[name].append(begun.elapsed_time(ended))
    print(title)
    first = statistics.median(next(iter(times.values())))
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"  {name:42}{middle:9.3f} ms [{min(values):.3f}..{max(values):.3f}]{first / middle:7.1f}x")


if __name__ == "__main__":
    main()

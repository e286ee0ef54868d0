"""Part: single operators, plain and ours, against what this machine's arithmetic and memory allow."""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from operators import tap_by_tap
from torch import Tensor, nn

from medseg.kernels.engines.torch_engine import lean_copy
from medseg.networks.blocks.cmfa import SpatialAttention
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.ops.deform_conv import deform_conv
from medseg.networks.ops.dilated_depthwise import dilated_depthwise
from performance.child import in_child
from performance.nets import alive
from performance.rows import Bar, Part, Row, Spot, Table
from performance.setting import Setting
from performance.turns import take_turns

BARS = {"deformable 3^3": 4.0, "depthwise 7^3, dilation 3": 10.0}
MEMORY_BAR_MIB = 40
Runs = dict[str, Callable[[], object]]
CPU = torch.device("cpu")


def measure(setting: Setting) -> Part:
    """One thread, in one child."""
    answer = in_child(
        "performance.roofline:spots", threads=1, cube=setting.cube, rounds=2 + setting.rounds, budget_s=setting.seconds
    )
    found = tuple(Spot(**{**spot, "seconds": tuple(spot["seconds"])}) for spot in answer["spots"])
    by_name = {spot.name: spot for spot in found}
    bars = []
    for name, least in BARS.items():
        plain, fast = by_name[f"{name}, plain"], by_name[f"{name}, ours"]
        ratio = statistics.median(b / a for a, b in zip(fast.seconds, plain.seconds, strict=True))
        bars.append(Bar(f"{name} against its plain form, 32 channels, 32^3, 1 thread", least, ratio))
    memory = answer["deformable_mib"]
    what = "extra memory of the deformable convolution, 32 channels, 32^3, MiB"
    bars.append(Bar(what, MEMORY_BAR_MIB, memory, at_most=True, unit=""))
    note = (
        f"In the same run one thread did {answer['gflops']:.0f} GFLOP/s in a matrix product or a dense convolution, "
        f"whichever did more, and copied {answer['memory_gbs']:.0f} GB/s in memory, {answer['cache_gbs']:.0f} GB/s "
        "where source and copy fit in cache. FLOP and bytes are those of the definition, each byte once; the share is "
        "the time the machine needs at least for them, by the copy of its size, against the time taken."
    )
    rows = tuple(Row(spot.name, spot.seconds) for spot in found)
    table = Table("operators", "operators, 1 thread", "processor", 1, rows, plot=False)
    return Part("operators", (table,), (), tuple(bars), found, (note,))


def spots(cube: int, rounds: int, budget_s: float) -> dict[str, object]:
    """In a child: all operators take turns with the two measures of the machine."""
    from performance.memory import Peak

    torch.manual_seed(0)
    with torch.inference_mode():
        runs, sizes = operators(cube)
        deform = runs["deformable 3^3, ours"]
        deform()
        memory = Peak()
        deform()
        extra = memory.in_all
        gflops, cache, main = best_flops(), copy_speed(4 << 20), copy_speed(256 << 20)
        seconds = take_turns(runs, rounds=rounds, budget_s=budget_s)
    found = [
        {
            "name": name,
            "flop": sizes[name][0],
            "bytes": sizes[name][1],
            "seconds": times,
            "peak_flops": gflops,
            "bandwidth": cache if sizes[name][1] < 16 << 20 else main,
        }
        for name, times in seconds.items()
    ]
    return {
        "spots": found,
        "deformable_mib": extra,
        "gflops": gflops / 1e9,
        "cache_gbs": cache / 1e9,
        "memory_gbs": main / 1e9,
    }


def operators(cube: int) -> tuple[Runs, dict[str, tuple[float, float]]]:
    """Runs by name, and (FLOP, bytes) of each."""
    runs: Runs = {}
    sizes: dict[str, tuple[float, float]] = {}
    known = [_deformable(), _dilated()]
    known += [make(cube) for make in (_depthwise, _multi_kernel, _pointwise, _gate, _attention)]
    for forms, flop, numbers in known:
        for name, run in forms.items():
            runs[name], sizes[name] = run, (float(flop), 4.0 * numbers)
    return runs, sizes


def _deformable() -> tuple[Runs, float, float]:
    channels, voxels = 32, 32**3
    x, offset = torch.randn(1, channels, 32, 32, 32), 1.5 * torch.randn(1, 81, 32, 32, 32)
    weight, bias = torch.randn(channels, channels, 3, 3, 3) / 30, torch.randn(channels)
    forms: Runs = {
        "deformable 3^3, plain": lambda: tap_by_tap(x, offset, weight, bias),
        "deformable 3^3, ours": lambda: deform_conv(x, offset, weight, bias, padding=1),
    }
    interpolation, product = 27 * 8 * 2 * channels, 2 * 27 * channels * channels
    return forms, voxels * (interpolation + product), voxels * (2 * channels + 81) + weight.numel()


def _dilated() -> tuple[Runs, float, float]:
    channels, voxels = 32, 32**3
    x, weight, bias = (
        torch.randn(1, channels, 32, 32, 32),
        torch.randn(channels, 1, 7, 7, 7) / 20,
        torch.randn(channels),
    )
    forms: Runs = {
        "depthwise 7^3, dilation 3, plain": lambda: F.conv3d(x, weight, bias, padding=9, dilation=3, groups=channels),
        "depthwise 7^3, dilation 3, ours": lambda: dilated_depthwise(x, weight, bias, dilation=3),
    }
    return forms, voxels * channels * 2 * 343, 2 * voxels * channels


def _depthwise(cube: int) -> tuple[Runs, float, float]:
    size = cube // 2
    x, weight = torch.randn(1, 32, size, size, size), torch.randn(32, 1, 5, 5, 5) / 10
    near = x.to(memory_format=torch.channels_last_3d)
    forms: Runs = {
        f"depthwise 5^3, {size}^3, plain": lambda: F.conv3d(x, weight, padding=2, groups=32),
        f"depthwise 5^3, {size}^3, channels last": lambda: F.conv3d(near, weight, padding=2, groups=32),
    }
    return forms, size**3 * 32 * 2 * 125, 2 * size**3 * 32


def _multi_kernel(cube: int) -> tuple[Runs, float, float]:
    size = cube // 2
    block = alive(nn.Sequential(MKIR(3, 16, 32)))
    x = torch.randn(1, 16, size, size, size)
    lean = lean_copy(block, (16, size, size, size), CPU)
    near = x.to(memory_format=torch.channels_last_3d)
    forms: Runs = {
        f"multi-kernel block 1+3+5, {size}^3, plain": lambda: block(x),
        f"multi-kernel block 1+3+5, {size}^3, ours": lambda: lean(near),
    }
    flop = 2 * (16 * 32 + 32 * (1 + 27 + 125) + 32 * 32 + 16 * 32)
    return forms, size**3 * flop, size**3 * (16 + 32)


def _pointwise(cube: int) -> tuple[Runs, float, float]:
    x, weight = torch.randn(1, 32, cube, cube, cube), torch.randn(32, 32, 1, 1, 1)
    near = x.to(memory_format=torch.channels_last_3d)
    forms: Runs = {
        f"pointwise 1^3, {cube}^3, plain": lambda: F.conv3d(x, weight),
        f"pointwise 1^3, {cube}^3, channels last": lambda: F.conv3d(near, weight),
    }
    return forms, cube**3 * 2 * 32 * 32, 2 * cube**3 * 32


def _gate(cube: int) -> tuple[Runs, float, float]:
    size = cube // 2
    block = alive(nn.Sequential(SpatialAttention(3, kernel=7)))
    x = torch.randn(1, 16, size, size, size)
    lean = lean_copy(block, (16, size, size, size), CPU)
    forms: Runs = {
        f"spatial attention 7^3, {size}^3, plain": lambda: block(x),
        f"spatial attention 7^3, {size}^3, ours": lambda: lean(x),
    }
    return forms, size**3 * (2 * 2 * 343 + 3 * 16), 2 * size**3 * 16


def _attention(cube: int) -> tuple[Runs, float, float]:
    """Windows of 7^3 tokens, as in SwinUNETR's first stage: three heads of 16 numbers."""
    windows, heads, tokens, width = (cube // 2 // 7) ** 3, 3, 343, 16
    q, k, v = (torch.randn(windows, heads, tokens, width) for _ in range(3))

    def plain() -> Tensor:
        return torch.softmax(q @ k.mT / width**0.5, -1) @ v

    forms: Runs = {
        "window attention, plain": plain,
        "window attention, fused by PyTorch": lambda: F.scaled_dot_product_attention(q, k, v),
    }
    return forms, windows * heads * tokens * tokens * (4 * width + 5), 4 * q.numel()


def best_flops() -> float:
    """FLOP/s of a matrix product or of a dense convolution, whichever is more, best of three."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    x, weight = torch.randn(1, 64, 32, 32, 32), torch.randn(64, 64, 3, 3, 3)
    product = 2 * 1024**3 / _best(lambda: a @ b)
    dense = 2 * 27 * 64 * 64 * 32**3 / _best(lambda: F.conv3d(x, weight, padding=1))
    return max(product, dense)


def copy_speed(size: int) -> float:
    """Bytes/s read and written while so many bytes are copied, best of three."""
    source = torch.ones(size // 4)
    target = torch.empty_like(source)
    times = max(1, (256 << 20) // size)

    def copy() -> None:
        for _ in range(times):
            target.copy_(source)

    return 2 * size * times / _best(copy)


def _best(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        run()
        seconds.append(time.process_time() - begun)
    return min(seconds)

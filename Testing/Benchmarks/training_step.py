"""Processor time of one training step on a CPU: forward, backward, optimiser.

Run with ``python Testing/Benchmarks/training_step.py [rounds]``. UltraLightUNet3D base with its first pooling skipped,
batch 2, 32 x 48 x 32, side heads, Dice and cross-entropy, one thread, random images; DynUNet in a plan for the same
data as a peer. The variants take turns, and the middle of the rounds counts.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from medseg.kernels.cpp.fast_depthwise import accelerate
from medseg.kernels.cpp.fast_mkir import accelerate_blocks
from medseg.networks import build_network
from medseg.training.loop.loss import DiceCrossEntropy, supervise

SHAPE, LABELS = (2, 1, 32, 48, 32), 3


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rounds = int(sys.argv[1]) if sys.argv[1:] else 7
    steps = variants()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            if turn:  # the first one compiles and allocates
                seconds[name].append(time.process_time() - begun)
    print("| variant | seconds a step |\n| --- | ---: |")
    for name, found in seconds.items():
        print(f"| {name} | {statistics.median(found):.2f} |")


def variants() -> dict[str, Callable[[], None]]:
    """What is compared."""
    plain = build_network("ultralight_unet", pooling=(1, 2, 2, 2, 1), label_count=LABELS, deep_supervision=True).train()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    depthwise, blocks = copy.deepcopy(last), copy.deepcopy(last)
    accelerate(depthwise)
    accelerate(blocks)
    accelerate_blocks(blocks)
    fused = copy.deepcopy(blocks)
    sizes = {"kernel_size": [3] * 4, "strides": [1, 2, 2, 2], "upsample_kernel_size": [2] * 3}
    dynunet = DynUNet(3, 1, LABELS, **sizes, deep_supervision=True, deep_supr_num=1)
    return {
        "default layout": a_step(plain),
        "channels last": a_step(last),
        "compiled depthwise gradient": a_step(depthwise),
        "and compiled MKIR blocks": a_step(blocks),
        "and fused AdamW": a_step(fused, fused=True),
        "channels last, bfloat16 autocast": a_step(copy.deepcopy(last), half=True),
        "MONAI DynUNet, 4 levels": a_step(dynunet),
        "MONAI DynUNet, 4 levels, bfloat16 autocast": a_step(copy.deepcopy(dynunet), half=True),
    }


def a_step(network: nn.Module, *, fused: bool = False, half: bool = False) -> Callable[[], None]:
    """One training step of a network of its own."""
    image, labels = torch.randn(SHAPE), torch.randint(0, LABELS, SHAPE)
    optimiser, loss = torch.optim.AdamW(network.parameters(), fused=fused), DiceCrossEntropy()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs: Tensor | list[Tensor] = network(image)
        if isinstance(outputs, Tensor) and outputs.ndim == len(SHAPE) + 1:  # DynUNet stacks its depths
            outputs = list(outputs.unbind(1))
        supervise(loss, outputs, labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()

    return step


if __name__ == "__main__":
    main()

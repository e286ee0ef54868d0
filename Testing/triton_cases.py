"""Comparisons of Triton's kernels with PyTorch's own operators: on a GPU, or carried out by Triton on the CPU.

Run as a script with ``TRITON_INTERPRET=1`` it prints one JSON object, the largest relative error of every value.
"""

import contextlib
import json
import sys
from unittest import mock

import torch
import torch.nn.functional as F

from medseg.kernels.triton import depthwise as triton_depthwise
from medseg.kernels.triton import selection
from medseg.networks.blocks import mkir
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.ops.deform_conv import deform_conv

DEFORM = {
    "27 taps": {"sizes": (2, 3, 2), "kernel": (3, 3, 3), "options": {"padding": 1}},
    "strided, dilated, without bias": {
        "sizes": (3, 4, 5),
        "kernel": (1, 3, 2),
        "options": {"stride": (2, 1, 1), "padding": (0, 1, 2), "dilation": (1, 2, 1)},
        "bias": False,
    },
    "more channels than a block, channels last": {
        "sizes": (3, 3, 4),
        "kernel": (2, 1, 1),
        "options": {},
        "channels": 37,
        "outputs": 70,
        "last": True,
    },
}
# Batch, channels, sizes, and whether channels are last. Carried out on the CPU each tap of each program takes its time,
# and a program does one channel of one image unless channels are last: in 2D there are several of both, in 3D few.
DEPTHWISE = {
    "2D": (2, 3, (3, 5), False),
    "3D": (1, 2, (2, 3, 2), False),
    "channels last": (2, 3, (3, 2, 4), True),
}


def deform_errors(name, device="cpu", dtype=torch.float32):
    """Errors of the result and of four gradients, for offsets that reach far outside; batch of 2."""
    case = DEFORM[name]
    channels, outputs = case.get("channels", 5), case.get("outputs", 7)
    x = normal(1, (2, channels, *case["sizes"])).to(dtype)
    weight = (normal(2, (outputs, channels, *case["kernel"])) / channels).to(dtype)
    bias = normal(3, (outputs,)).to(dtype) if case.get("bias", True) else None
    spaces = F.conv3d(x.float(), weight.float(), **case["options"]).shape[2:]
    offset = 2 * normal(4, (2, 3 * weight[0, 0].numel(), *spaces))
    above = normal(5, (2, outputs, *spaces)).to(dtype)
    if case.get("last"):
        x, offset, above = (value.to(memory_format=torch.channels_last_3d) for value in (x, offset, above))
    answers, select = [], selection.select_kernels
    watched = lambda *given, **settings: answers.append(select(*given, **settings)) or answers[-1]  # noqa: E731
    with mock.patch.object(selection, "select_kernels", watched):
        found = deform_gradients([x, offset, weight, bias], above, case["options"], device)
    # positions stay those of float32, so that a floor is the same; sums are made in float64
    exact = [value if value is None else value.double() for value in (x, offset, weight, bias)]
    with accelerated_off():
        expected = deform_gradients(exact, above.double(), case["options"], "cpu")
    ran = float(bool(answers) and None not in answers)
    return {**errors(("result", "x", "offset", "weight", "bias"), found, expected), "ran": ran}


def deform_gradients(inputs, above, options, device):
    leaves = [None if value is None else value.detach().to(device).requires_grad_() for value in inputs]
    result = deform_conv(*leaves, **options)
    wanted = [value for value in leaves if value is not None]
    return [result, *torch.autograd.grad(result, wanted, above.to(device))]


def depthwise_errors(name, device="cpu", dtype=torch.float32):
    """Errors of three results, of their fused sum and of four gradients."""
    batch, channels, sizes, last = DEPTHWISE[name]
    axes = len(sizes)
    x = normal(1, (batch, channels, *sizes)).to(dtype)
    x = x.to(memory_format=torch.channels_last_3d if axes == 3 else torch.channels_last) if last else x
    weights = [normal(size, (channels, 1, *[size] * axes)).to(dtype) for size in (1, 3, 5)]
    factors, shifts = [[normal(seed, (channels,)) for seed in seeds] for seeds in ((6, 7, 8), (9, 10, 11))]
    there = [value.to(device).requires_grad_() for value in (x, *weights)]
    results = triton_depthwise.MultiKernelDepthwise.apply(*there)
    above = [normal(12 + n, tuple(result.shape)).to(dtype) for n, result in enumerate(results)]
    found = [*results, *torch.autograd.grad(results, there, [value.to(device) for value in above])]
    with torch.no_grad():
        moved = [[value.to(device) for value in values] for values in (factors, shifts)]
        found.append(triton_depthwise.filtered(there[0], there[1:], *moved))
    leaves = [value.detach().double().requires_grad_() for value in (x, *weights)]
    convolution = F.conv2d if axes == 2 else F.conv3d
    plain = [convolution(leaves[0], one, padding=one.shape[-1] // 2, groups=channels) for one in leaves[1:]]
    expected = [*plain, *torch.autograd.grad(plain, leaves, [value.double() for value in above])]
    spread = [[value.view(-1, *[1] * axes) for value in values] for values in (factors, shifts)]
    parts = zip(plain, *spread, strict=True)
    expected.append(sum((one * factor + shift).clamp(0, 6) for one, factor, shift in parts))
    return errors(("one", "three", "five", "x", "w1", "w3", "w5", "fused"), found, expected)


def block_errors(training, device="cpu", dtype=torch.float32):
    """Errors of a multi-kernel block (2D) and of its gradients, through the same calls as in a network."""
    torch.manual_seed(0)
    block = MKIR(2, 3, 4).train(training).to(device)
    for norm in (layer for layer in block.modules() if isinstance(layer, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.normal_(norm.bias)
    x = normal(1, (2, 3, 4, 5)).to(device).requires_grad_(training)
    automatic = torch.autocast(x.device.type, dtype=dtype, enabled=dtype != torch.float32)

    def answers():
        with contextlib.nullcontext() if training else torch.inference_mode(), automatic:
            result = block(x)
        if not training:
            return [result]
        return [result, *torch.autograd.grad(result.float().square().sum(), [x, *block.parameters()])]

    passes = []
    one_pass = mkir.branches_in_one_pass
    with mock.patch.object(mkir, "branches_in_one_pass", lambda *given: passes.append(one_pass(*given)) or passes[-1]):
        found = answers()
    ran = float(len(passes) == 1 and passes[0] is not None)
    with accelerated_off():
        expected = answers()
    # the kernel of size 1 is scaled by a norm in training: its gradient is zero but for rounding
    size = float(max(value.detach().norm() for value in expected[1:] or expected))
    apart = [
        float((one.detach().float() - other.detach().float()).norm()) / size
        for one, other in zip(found, expected, strict=True)
    ]
    return {"largest": max(apart), "ran": ran}


def normal(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def errors(names, found, expected):
    """Size of the difference over size of what is expected."""
    pairs = [[value.detach().cpu().double() for value in pair] for pair in zip(found, expected, strict=True)]
    return {name: float((one - other).norm() / other.norm()) for name, (one, other) in zip(names, pairs, strict=False)}


@contextlib.contextmanager
def accelerated_off():
    """PyTorch's own operators inside, as on a machine without Triton."""
    remembered = selection._unusable
    selection._unusable = lambda *_: "switched off"
    try:
        yield
    finally:
        selection._unusable = remembered


def main(names):
    """All comparisons of the named groups."""
    torch.set_num_threads(1)
    table = {}
    if "deform" in names:
        table |= {name: deform_errors(name) for name in DEFORM}
        table["float16"] = deform_errors("strided, dilated, without bias", dtype=torch.float16)
    if "depthwise" in names:
        table |= {name: depthwise_errors(name) for name in DEPTHWISE}
        table["float16"] = depthwise_errors("2D", dtype=torch.float16)
        table |= {f"block, training {training}": block_errors(training) for training in (True, False)}
        table["bfloat16"] = block_errors(False, dtype=torch.bfloat16)
    sys.stdout.write(json.dumps(table))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Compiles Triton's kernels for cards that need not be there; prints what each takes of a card, as JSON."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from medseg.kernels.triton import deform as triton_deform
from medseg.kernels.triton import depthwise as triton_depthwise
from medseg.networks.ops.deform_passes import Settings

POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
CARDS = ((75, torch.float16), (90, torch.float32))


def main():
    """Every kernel for an old card in half precision and for a new one in float32; bfloat16 is the deform's."""
    table = {}
    for card, dtype in CARDS:
        for launch in launches(dtype):
            table[f"{launch.kernel.fn.__name__} {len(table)} {dtype} sm_{card}"] = taken(launch, card)
    table["deform_forward bfloat16 sm_80"] = taken(launches(torch.bfloat16)[0], 80)
    table["deform_weight bfloat16 sm_80"] = taken(launches(torch.bfloat16)[2], 80)
    for name, launch in others(torch.bfloat16):
        table[f"{launch.kernel.fn.__name__} {name} bfloat16 sm_80"] = taken(launch, 80)
    sys.stdout.write(json.dumps(table))


def launches(dtype):
    """What the networks' first stages ask for: 32 channels, 32^3 voxels, batch of 2."""
    ones = (1, 1, 1)
    settings = Settings(ones, ones, ones, groups=1, deformable_groups=1)
    x, offset = torch.empty(2, 32, 32, 32, 32, dtype=dtype), torch.empty(2, 81, 32, 32, 32)
    weight, bias = torch.empty(32, 32, 3, 3, 3, dtype=dtype), torch.empty(32, dtype=dtype)
    kernels = [torch.empty(32, 1, *[size] * 3, dtype=dtype) for size in (1, 3, 5)]
    deform = [
        triton_deform.forward_launch(x, offset, weight, bias, settings)[1],
        triton_deform.backward_launch(x, x, offset, weight, settings, (True, True))[2],
        triton_deform.weight_launch(x, x, offset, weight, settings)[1],
    ]
    depthwise = [triton_depthwise.image_launch((x, x, x), x, kernels)[1]]
    depthwise.append(triton_depthwise.weight_launch((x, x, x), x)[1])
    if dtype == torch.float32:
        return [*deform, *depthwise]
    return [*deform, triton_depthwise.forward_launch(x, kernels, torch.empty(192))[1], depthwise[1]]


def others(dtype):
    """What training and slices ask for besides: three results apart, images of one plane, channels last."""
    volume, image = torch.empty(2, 32, 32, 32, 32, dtype=dtype), torch.empty(2, 32, 64, 64, dtype=dtype)
    last = volume.to(memory_format=torch.channels_last_3d)
    for name, x in (("3D", volume), ("2D", image), ("channels last", last)):
        kernels = [torch.empty(32, 1, *[size] * (x.ndim - 2), dtype=dtype) for size in (1, 3, 5)]
        yield f"{name} apart", triton_depthwise.forward_launch(x, kernels)[1]
        if name == "2D":
            yield f"{name} in one", triton_depthwise.forward_launch(x, kernels, torch.empty(192))[1]
            yield name, triton_depthwise.image_launch((x, x, x), x, kernels)[1]
            yield name, triton_depthwise.weight_launch((x, x, x), x)[1]


def taken(launch, card):
    """Bytes of shared memory and of stack (spilled registers), and registers a thread."""
    signature, constants = {}, {}
    for parameter in launch.kernel.params:
        value = launch.arguments[parameter.name]
        if parameter.is_constexpr:
            constants[parameter.name] = value
        kind = POINTERS[value.dtype] if isinstance(value, torch.Tensor) else "i32"
        signature[parameter.name] = "constexpr" if parameter.is_constexpr else kind
    source = ASTSource(launch.kernel, signature=signature, constexprs=constants)
    options = {"num_warps": launch.warps, "num_stages": launch.stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", card, 32), options=options)
    usage = resources(compiled.asm["cubin"])
    return {"shared": compiled.metadata.shared, "stack": usage["STACK"], "registers": usage["REG"]}


def resources(machine_code):
    """What the tool that comes with Triton says about machine code."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(machine_code)
        command = [str(tool), "--dump-resource-usage", str(file)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {key: int(number) for key, number in re.findall(r"(REG|STACK):(\d+)", text)}


if __name__ == "__main__":
    main()

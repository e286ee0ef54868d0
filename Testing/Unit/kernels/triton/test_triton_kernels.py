"""Triton's kernels: carried out on the CPU by Triton itself, on a GPU where there is one, and as machine code."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.norms import choose_norm
from medseg.networks.ops import accelerated, multi_kernel

TESTING = Path(__file__).resolve().parents[3]
LIMITS = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2}
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which there is for Linux only")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def run_child(script, *arguments, **variables):
    """What a script of the test folder prints as JSON; variables must be set before Triton is imported."""
    paths = os.pathsep.join([str(TESTING), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, str(TESTING / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@needs_triton
@pytest.mark.parametrize("operator", ["deform", "depthwise"])
def test_carried_out_on_the_cpu_they_give_pytorchs_answers_and_gradients(operator):
    table = run_child("triton_cases.py", operator, TRITON_INTERPRET="1")
    assert len(table) > 3
    for name, errors in table.items():
        limit = LIMITS.get(name, LIMITS["float32"])
        assert all(error < limit for key, error in errors.items() if key != "ran"), (name, errors)
        assert errors.get("ran", 1.0) == 1.0


@needs_triton
def test_they_become_machine_code_of_every_card_without_spilling_registers(tmp_path):
    table = run_child("triton_compile.py", TRITON_CACHE_DIR=str(tmp_path))
    assert len(table) == 18
    for name, found in table.items():
        assert found["shared"] <= 48 * 1024, name  # what every card gives a program unasked
        assert found["stack"] == 0, name


def a_block(axes=2):
    return MKIR(axes, 3, 4).eval()


def fits(block, x=None):
    x = torch.zeros(1, 6, *[4] * block.expand[0].weight[0, 0].ndim) if x is None else x
    return multi_kernel._fit(x, list(block.depthwise))


@pytest.mark.parametrize("axes", [2, 3])
def test_the_branches_of_a_block_fit_the_kernel_unless_something_about_them_is_different(axes):
    assert fits(a_block(axes))
    of_each_image = a_block(axes)
    choose_norm(of_each_image, "instance")
    assert fits(of_each_image)
    assert not fits(a_block(axes), torch.zeros(1, 5, *[4] * axes))
    heard, listened, reflected, strided = (a_block(axes) for _ in range(4))
    heard.depthwise[1].register_forward_hook(lambda *_: None)
    listened.depthwise[2][0].register_full_backward_hook(lambda *_: None)
    reflected.depthwise[1][0].padding_mode = "reflect"
    strided.depthwise[2][0].stride = (2,) * axes
    for block in (heard, listened, reflected, strided, MKIR(axes, 3, 4, kernels=(1, 3))):
        assert not fits(block)


@needs_triton
@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_gpu_gives_pytorchs_answers_and_gradients(dtype):
    from triton_cases import DEFORM, DEPTHWISE, block_errors, deform_errors, depthwise_errors

    kind = getattr(torch, dtype)
    tables = [deform_errors(name, "cuda", kind) for name in DEFORM]
    tables += [depthwise_errors(name, "cuda", kind) for name in DEPTHWISE]
    for errors in tables:
        assert errors.pop("ran", 1.0) == 1.0
        assert all(error < LIMITS[dtype] for error in errors.values()), errors
    for training in (True, False):
        errors = block_errors(training, "cuda", kind)
        assert errors.pop("ran") == 1.0
        assert all(error < 10 * LIMITS[dtype] for error in errors.values()), errors


@needs_gpu
def test_a_gpu_takes_pytorchs_form_for_float64():
    x = torch.ones(1, 1, 2, 2, 2, dtype=torch.float64, device="cuda")
    assert accelerated.kernels_for("deform_conv", [x]) is None


def test_a_tensor_on_the_cpu_has_no_kernel():
    if accelerated.interpreted():
        pytest.skip("Triton was asked to carry out its kernels on the CPU")
    assert accelerated.kernels_for("depthwise", [torch.ones(1, 1, 2, 2)]) is None


def test_networks_are_imported_without_triton():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import medseg.networks.blocks.mkir, medseg.networks.blocks.deformable_lka\n"
        "assert not [name for name in sys.modules if name.startswith('medseg.kernels')]\n"
        "import medseg.kernels.triton.selection as a\n"
        "print(a.kernels_here())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "used" in done.stdout

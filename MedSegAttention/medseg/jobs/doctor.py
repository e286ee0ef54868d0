"""What a bug report needs: versions, devices, memory, models and whether a segmentation works here."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import nn

from medseg.bundles.catalogue import Bundle, scan
from medseg.imaging.image import Image
from medseg.inference.device import available_devices, choose_device, device_name
from medseg.io.read import read_labels
from medseg.jobs.run.segment import segment_case
from medseg.kernels.engines.compiled_cache import default_folder, kept_size
from medseg.kernels.engines.openvino_engine import describe_openvino
from medseg.kernels.triton.selection import kernels_here
from medseg.spec.errors import MedSegError
from medseg.spec.job import Options
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest
from medseg.spec.places import home_folder

_PACKAGES = ("medsegattention", "torch", "monai", "SimpleITK", "numpy", "scipy", "safetensors", "pillow", "typer")
_MB, _GB = 1e6, 1e9


def examine() -> str:
    """Describe this installation and try it; the text can be pasted into a bug report.

    The home folder is written as ``~``; no file, host or user is named.
    """
    lines = [*_software(), "", *_hardware(), "", *_engines(), "", *_models(), "", *_trials()]
    return "\n".join(lines).replace(str(home_folder()), "~")


def self_test(device: str = "auto") -> float:
    """Segment a synthetic sphere with a one-layer network and read the result back from a file.

    Returns:
        Seconds it took.

    Raises:
        MedSegError: when a step refuses its input.
        RuntimeError: when the result is not the sphere.
    """
    begun = time.perf_counter()
    distance = np.linalg.norm(np.indices((24, 20, 16)) - np.array([12, 10, 8])[:, None, None, None], axis=0)
    sphere = distance < 6
    image = Image(np.where(sphere, 100.0, 0.0).astype(np.float32)[None], np.diag([1.0, 1.0, 2.0, 1.0]))
    result = segment_case(
        [image], Bundle(Path(), _threshold_manifest()), Options(device=device), load=lambda _: _threshold()
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "self-test.nrrd"
        result.save(path)
        labels = read_labels(path)
    if not np.array_equal(labels.array[0] == 1, sphere):
        msg = f"the self-test found {int(labels.array.sum())} voxels of {int(sphere.sum())}"
        raise RuntimeError(msg)
    return time.perf_counter() - begun


def _software() -> Iterator[str]:
    yield f"python           {platform.python_version()} ({sys.implementation.name})"
    for package in _PACKAGES:
        try:
            yield f"{package:16s} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            yield f"{package:16s} not installed as a package"
    yield f"platform         {platform.platform()}"


def _hardware() -> Iterator[str]:
    memory = psutil.virtual_memory()
    yield f"processor        {device_name(torch.device('cpu'))}"
    yield f"cores, threads   {os.cpu_count()}, torch uses {torch.get_num_threads()}"
    yield f"memory           {memory.available / _GB:.1f} GB free of {memory.total / _GB:.1f} GB"
    for name in available_devices():
        device = torch.device(name)
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            yield f"GPU              {device_name(device)}, {free / _GB:.1f} GB free of {total / _GB:.1f} GB"
        elif device.type == "mps":
            yield f"GPU              {device_name(device)}"
    yield f"auto means       {choose_device('auto')}"


def _engines() -> Iterator[str]:
    """What can run networks here, and what was compiled for that."""
    torch_version = torch.__version__.partition("+")[0]
    yield f"engine           PyTorch {torch_version}, {torch.backends.cpu.get_cpu_capability()} instructions"
    yield f"engine           {describe_openvino()}"
    yield f"Triton kernels   {kernels_here()}"
    folder = default_folder()
    count, size = kept_size(folder)
    yield f"engine cache     {folder}, {count} compiled network{'' if count == 1 else 's'}, {size / _MB:.1f} MB"


def _models() -> Iterator[str]:
    found = scan()
    for model_id, bundle in found.bundles.items():
        yield f"model            {model_id} {bundle.manifest.version} ({bundle.folder})"
    for broken in found.broken:
        yield f"broken model     {broken.reason}"
    if not found.bundles and not found.broken:
        yield "model            none found"


def _trials() -> Iterator[str]:
    try:
        yield f"self-test        passed in {self_test():.2f} s"
    except (MedSegError, RuntimeError) as error:
        yield f"self-test        FAILED: {error}"
    for model_id, bundle in list(scan().bundles.items())[:1]:
        try:
            seconds, place = _try_model(bundle)
        except (MedSegError, RuntimeError) as error:
            yield f"{model_id}: FAILED: {error}"
        else:
            yield f"model trial      {model_id} ran on noise in {seconds:.2f} s on {place}"


def _try_model(bundle: Bundle) -> tuple[float, str]:
    """Run a real model on a window of noise."""
    begun = time.perf_counter()
    shape = (len(bundle.manifest.channels), *bundle.manifest.window_shape)
    noise = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    affine = np.diag([*(bundle.manifest.spacing_mm or (1.0, 1.0, 1.0)), 1.0])
    result = segment_case([Image(noise, affine)], bundle, Options(mirror=False, overlap=0.0))
    return time.perf_counter() - begun, f"{result.device} by {result.engine}"


def _threshold() -> nn.Module:
    """Build a 1x1x1 convolution that says "sphere" above 50."""
    layer = nn.Conv3d(1, 2, 1).eval().requires_grad_(requires_grad=False)
    layer.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
    layer.bias = nn.Parameter(torch.tensor([0.0, -50.0]), requires_grad=False)
    return layer


def _threshold_manifest() -> ModelManifest:
    code = Code("SCT", "123037004", "Anatomical Structure")
    return ModelManifest(
        model_id="self-test",
        title="Self-test",
        version="1",
        description="A threshold",
        network="ultralight_unet",
        labels=(LabelSpec(value=1, name="sphere", color=(255, 0, 0), category=code, type=code),),
        channels=(ChannelSpec(name="image", modality="OT"),),
        intensity=IntensityRule(kind="none"),
        window_shape=(16, 16, 16),
        anatomy="none",
        intended_use="none",
        licence="Apache-2.0",
        authors="none",
        training_data="none",
    )

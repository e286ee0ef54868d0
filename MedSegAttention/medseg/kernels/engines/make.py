"""The engine for a network on this machine: the fastest one that is there and says the same."""

import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from medseg.kernels.engines.compiled_cache import default_folder
from medseg.kernels.engines.engine import Engine, EngineRefused
from medseg.kernels.engines.openvino_engine import openvino_engine, openvino_is_installed
from medseg.kernels.engines.torch_engine import torch_engine
from medseg.spec.errors import JobError
from medseg.spec.job import EngineName, Precision

# Forward passes after which a preparation has paid for itself. Measured on one thread: a lean copy costs 3 passes and
# saves a tenth to a quarter of each; OpenVINO costs 5 to 10 passes, once a machine, and saves half to three quarters.
LEAN_PAYS_AFTER = 16
OPENVINO_PAYS_AFTER = 12


def make_engine(
    network: nn.Module,
    window_shape: tuple[int, ...],
    *,
    name: EngineName = "auto",
    device: torch.device,
    precision: Precision = "float32",
    passes: int | None = None,
    folder: Path | None = None,
    real_windows: Tensor | None = None,
) -> Engine:
    """Make a network ready to run.

    An engine that was asked for by name and cannot be used is replaced by PyTorch, and the engine's remarks say why.
    With "auto" remarks are left out where nothing is wrong: the package is not installed, or too little is to be done.

    Args:
        network: in evaluation mode, ``(B, C, *S)`` -> logits ``(B, L, *S)``; its values stay as they are.
        window_shape: ``(C, *S)``; an engine may answer no other shape.
        name: "torch", "openvino", or "auto": OpenVINO in float32 on processors where it is installed and agrees, else
            PyTorch. Half precision is never chosen by "auto" alone: it is PyTorch's then.
        device: where the network runs.
        precision: of its arithmetic.
        passes: forward passes that are coming, windows times flips; None: many. What takes longer to get ready than
            it saves is not begun; a network compiled earlier is used in any case.
        folder: where compiled networks are kept; None: ``default_folder()``.
        real_windows: ``(B, C, *S)`` prepared windows of the image, for OpenVINO in bfloat16.

    Raises:
        JobError: for a name that no engine has.
    """
    if name not in get_args(EngineName):
        msg = f"an engine is one of {', '.join(get_args(EngineName))}, got {name!r}"
        raise JobError(msg)
    begun = time.perf_counter()
    remarks = []
    if name == "openvino" or (name == "auto" and _may_help(device, precision)):
        try:
            return _openvino(network, window_shape, name, device, precision, passes, folder, real_windows)
        except EngineRefused as refused:
            if name == "openvino" or _pays(passes, OPENVINO_PAYS_AFTER):
                remarks.append(f"{refused}; PyTorch runs it instead")
    lean = _pays(passes, LEAN_PAYS_AFTER)
    engine = torch_engine(network, window_shape, device=device, precision=precision, lean=lean)
    seconds = time.perf_counter() - begun
    return replace(engine, remarks=(*remarks, *engine.remarks), seconds=seconds, hasty=not lean)


def _openvino(
    network: nn.Module,
    window_shape: tuple[int, ...],
    name: EngineName,
    device: torch.device,
    precision: Precision,
    passes: int | None,
    folder: Path | None,
    real_windows: Tensor | None,
) -> Engine:
    if device.type != "cpu":
        msg = f"OpenVINO runs on the processor here, and {device} was chosen"
        raise EngineRefused(msg)
    return openvino_engine(
        network.to(device),
        window_shape,
        precision=precision,
        folder=default_folder() if folder is None else folder,
        real_windows=real_windows,
        compile_anew=name == "openvino" or _pays(passes, OPENVINO_PAYS_AFTER),
    )


def _may_help(device: torch.device, precision: Precision) -> bool:
    return device.type == "cpu" and precision == "float32" and openvino_is_installed()


def is_worth_more(engine: Engine, passes: int | None) -> bool:
    """Whether a faster engine may be made for so many passes than one that was made for fewer."""
    return engine.hasty and _pays(passes, OPENVINO_PAYS_AFTER)


def _pays(passes: int | None, least: int) -> bool:
    return passes is None or passes >= least

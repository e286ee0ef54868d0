"""OpenVINO as an engine on processors: an optional package, used only where it says what PyTorch says.

OpenVINO reports its use to the maker over the network when it is imported and when ``openvino.convert_model`` is
called, unless somebody opted out. A program for patients' images must not: its reporter is kept from being imported,
and the network is read by OpenVINO's frontend itself.
"""

import importlib.util
import sys
import time
import warnings
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medseg.kernels.engines.agreement import LEAST_DICE, agrees, least_dice, plain_answers, trial_windows
from medseg.kernels.engines.compiled_cache import fingerprint, keep_compiled, read_compiled
from medseg.kernels.engines.engine import Engine, EngineRefused
from medseg.kernels.engines.lean_blocks import use_careful_norms
from medseg.kernels.engines.torch_engine import lean_copy
from medseg.spec.job import Precision

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16"}
_HOW_TO_INSTALL = 'pip install "openvino>=2026.1"'


def openvino_is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def describe_openvino() -> str:
    """Version of OpenVINO and what it can compute in on this processor, or why it cannot be used; imports it."""
    if not openvino_is_installed():
        return f"OpenVINO is not installed ({_HOW_TO_INSTALL})"
    try:
        openvino = _import_openvino()
    except EngineRefused as refused:
        return str(refused)
    found = _core(openvino).get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = [name for name, capability in _CAPABILITIES.items() if capability in found]
    return f"OpenVINO {_version(openvino)}, in {' and '.join(precisions)} on this processor"


def _version(openvino: Any) -> str:
    return str(openvino.__version__.partition("-")[0])


def _import_openvino() -> Any:
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO has a silent one for this case
    try:
        return importlib.import_module("openvino")
    except ImportError as error:  # e.g. a library of the system that its wheel needs
        msg = f"OpenVINO is installed but does not load ({error}); install it anew"
        raise EngineRefused(msg) from error


@cache
def _core(openvino: Any) -> Any:
    """The process's only core, kept to its end.

    Its plugin for processors gives the thread a stack for signals (``sigaltstack``) of the core's own, and gives back
    the one before when the core goes. Of two cores that go in the order in which they came, the second gives back the
    stack of the first, whose memory is gone by then: the next signal that Python hears, as of a child that ended, ends
    the process without a word (OpenVINO 2026.4.1).
    """
    return openvino.Core()


def openvino_engine(
    network: nn.Module,
    window_shape: tuple[int, ...],
    *,
    precision: Precision = "float32",
    folder: Path | None = None,
    real_windows: Tensor | None = None,
    compile_anew: bool = True,
) -> Engine:
    """Compile a network, or take it from the cache, and compare it with PyTorch when it was compiled.

    Args:
        network: in evaluation mode, on the processor; left as it is.
        window_shape: ``(C, *S)``.
        precision: float32, or bfloat16 where the processor has it and ``real_windows`` get the same labels.
        folder: where compiled networks are kept; None keeps nothing.
        real_windows: ``(B, C, *S)`` prepared windows of a real image; needed for bfloat16.
        compile_anew: False uses a compiled network from the cache or none.

    Raises:
        EngineRefused: when the package is missing, cannot convert the network, or answers differently.
    """
    begun = time.perf_counter()
    if not openvino_is_installed():
        msg = f"OpenVINO is not installed ({_HOW_TO_INSTALL})"
        raise EngineRefused(msg)
    openvino = _import_openvino()
    core = _core(openvino)
    _check_precision(core, precision, real_windows)
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # other workers may run beside this one
    }
    processor = core.get_property("CPU", "FULL_DEVICE_NAME"), core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    key = fingerprint(network, [openvino.__version__, processor, precision, window_shape])
    compiled = None if folder is None else _from_cache(core, folder, key, settings)
    from_cache = compiled is not None
    if compiled is None:
        if not compile_anew:
            msg = "OpenVINO would take longer to get ready than it saves"
            raise EngineRefused(msg)
        compiled = _agreeing(core, network, window_shape, settings, compare=precision == "float32")
        if folder is not None:
            exported = compiled.export_model()  # bytes or a stream of them, by version
            keep_compiled(folder, key, exported if isinstance(exported, bytes) else exported.getvalue())
    run = _runner(compiled)
    if precision != "float32" and real_windows is not None:
        _compare_labels(run, network, real_windows)
    return Engine(f"OpenVINO {_version(openvino)} ({precision})", run, (), time.perf_counter() - begun, from_cache)


def _check_precision(core: Any, precision: Precision, real_windows: Tensor | None) -> None:
    if precision == "float32":
        return
    if _CAPABILITIES.get(precision) not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        msg = f"this processor has no {precision} for OpenVINO; choose float32"
        raise EngineRefused(msg)
    if real_windows is None:
        msg = f"OpenVINO runs in {precision} only after it gave a real image the same labels, and none was handed over"
        raise EngineRefused(msg)


def _from_cache(core: Any, folder: Path, key: str, settings: dict[str, Any]) -> Any:
    """A compiled network, or None."""
    kept = read_compiled(folder, key)
    if kept is None:
        return None
    try:
        return core.import_model(kept, "CPU", settings)
    except RuntimeError:  # of a build of OpenVINO that reads its files differently
        return None


def _agreeing(
    core: Any, network: nn.Module, window_shape: tuple[int, ...], settings: dict[str, Any], *, compare: bool
) -> Any:
    """The lean network compiled, or the network as it is where the lean one does not do."""
    device = torch.device("cpu")
    windows = trial_windows(window_shape, device) if compare else []
    expected = plain_answers(network, windows)
    refused = EngineRefused("OpenVINO answers differently from PyTorch for this network")
    for lean in (True, False):
        copy = lean_copy(network, window_shape, device, layout=False) if lean else deepcopy(network)
        try:
            compiled = _compile(core, copy.requires_grad_(requires_grad=False), window_shape, settings)
        except EngineRefused as error:
            refused = error
            continue
        if all(map(agrees, map(_runner(compiled), windows), expected)):
            return compiled
    raise refused


def _compile(core: Any, copy: nn.Module, window_shape: tuple[int, ...], settings: dict[str, Any]) -> Any:
    frontends = importlib.import_module("openvino.frontend")
    decoders = importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    failures = (frontends.GeneralFailure, frontends.NotImplementedFailure, frontends.OpConversionFailure)
    use_careful_norms(copy)
    shape = [1, *window_shape]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer warns of every size it takes for a constant: it is one here
            traced = torch.jit.trace(copy, torch.zeros(shape), check_trace=False, strict=False)  # type: ignore[no-untyped-call]
            frontend = frontends.FrontEndManager().load_by_framework("pytorch")
            decoder = decoders.TorchScriptPythonDecoder(traced)  # read lazily: it must outlive the conversion
            model = frontend.convert(frontend.load(decoder))
            model.reshape(shape)
            return core.compile_model(model, "CPU", settings)
    except (RuntimeError, TypeError, ValueError, *failures) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        msg = f"OpenVINO cannot convert this network: {reason[:200]}"
        raise EngineRefused(msg) from error


def _runner(compiled: Any) -> Any:
    """A callable of batches; one window at a time, into memory of the answer's own."""
    openvino = _import_openvino()
    request = compiled.create_infer_request()
    shape = tuple(compiled.output(0).shape)[1:]

    def run(batch: Tensor) -> Tensor:
        windows = batch.detach().to("cpu", torch.float32).contiguous()
        logits = torch.empty(len(windows), *shape)
        for window, answer in zip(windows, logits, strict=True):
            request.set_input_tensor(openvino.Tensor(_as_array(window[None]), shared_memory=True))
            request.set_output_tensor(openvino.Tensor(_as_array(answer[None]), shared_memory=True))
            request.infer()
        return logits

    return run


def _as_array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.numpy()


def _compare_labels(run: Any, network: nn.Module, windows: Tensor) -> None:
    (expected,) = plain_answers(network, [windows])
    dice = least_dice(run(windows), expected)
    if dice < LEAST_DICE:
        msg = f"OpenVINO's labels in half precision agree with a Dice of {dice:.4f} only; {LEAST_DICE} is needed"
        raise EngineRefused(msg)

"""How much memory a network takes beside its images: weights, their copies, activations. Arithmetic only; no torch."""

from importlib.util import find_spec
from math import prod
from typing import Literal, TypeAlias

from medseg.inference.run_plan import NetworkPlan
from medseg.spec.manifest import ModelManifest

# An engine as far as memory goes: the network itself, PyTorch's lean copy of it, or OpenVINO.
Runner: TypeAlias = Literal["plain", "lean", "openvino"]

LEAN_PAYS_AFTER, OPENVINO_PAYS_AFTER = 16, 12  # forward passes; those of engines.make, which needs torch

# Float32 values that PyTorch takes at most for a voxel of the window, input and logits among them: measured on one
# thread with the published widths, those of 2D networks for a pixel. Others of the same name take more or less.
_VALUES = {
    ("ultralight_unet", 3): 80.0,
    ("dlka_net", 3): 140.0,
    ("emf_former", 3): 75.0,
    ("mslau_net", 3): 97.0,
    ("dlka_net_2d", 2): 450.0,
    ("mslau_net", 2): 110.0,
    ("medical_transformer", 2): 1400.0,
}
_VALUES_UNPOOLED = 390.0  # of an UltraLightUNet in 3D that works at full size at first, with _BASE_WIDTH channels
_BASE_WIDTH = 16
_VALUES_UNKNOWN = {3: 130.0, 2: 450.0}
FIRST_PASS_MB = 32  # of code that is touched for the first time

# OpenVINO, measured: its libraries, and copies of the weights while a network is compiled or read from the cache. The
# forecast is the geometric mean of both cases; they lie within a third of it.
_OPENVINO_MB = {"compiled": 180, "cached": 80}
_OPENVINO_COPIES = {"compiled": 5.5, "cached": 3.0}
_OPENVINO_ACTIVATIONS = {"compiled": 1.0, "cached": 0.5}  # those of PyTorch are needed to compare
_OPENVINO_ANSWERS = {"compiled": 4, "cached": 1}

_FLOAT = 4  # bytes
_MB = 2**20


def has_openvino() -> bool:
    """Whether OpenVINO is installed in this Python; it is not imported."""
    return find_spec("openvino") is not None


def choose_runner(plan: NetworkPlan, *, openvino: bool) -> Runner:
    """Say what will run a network, as ``make_engine`` chooses it.

    Args:
        plan: how it will run.
        openvino: whether it is installed.
    """
    wanted = plan.engine == "openvino" or (plan.engine == "auto" and plan.forward_passes >= OPENVINO_PAYS_AFTER)
    if openvino and wanted and plan.device == "cpu" and plan.precision == "float32":
        return "openvino"
    return "lean" if plan.forward_passes >= LEAN_PAYS_AFTER else "plain"


def network_bytes(manifest: ModelManifest, runner: Runner, *, device: str, batch: int, weights: float) -> float:
    """Most bytes that a network takes at a time.

    Args:
        manifest: of the model; a measured figure in it is preferred.
        runner: what runs it.
        device: "cpu", "cuda" or "mps".
        batch: windows at a time.
        weights: bytes of them.
    """
    one = activations(manifest, device)
    if runner == "plain":
        return weights + batch * one
    if runner == "lean":  # made with one window; on a processor less is held while it runs
        return 2 * weights + one * max(1.0, batch * (0.5 if device == "cpu" else 1.0))
    logits = _FLOAT * manifest.network_outputs * prod(manifest.window_shape)
    cases = [
        weights * (1 + _OPENVINO_COPIES[case])
        + _MB * _OPENVINO_MB[case]
        + _OPENVINO_ACTIVATIONS[case] * one
        + logits * max(_OPENVINO_ANSWERS[case], batch)
        for case in ("compiled", "cached")
    ]
    return float((cases[0] * cases[1]) ** 0.5)


def activations(manifest: ModelManifest, device: str) -> float:
    """Bytes that PyTorch takes for one window, beside the weights."""
    for timing in manifest.timings:
        if timing.device_kind == device and timing.window_memory_mib is not None:
            return timing.window_memory_mib * _MB
    return FIRST_PASS_MB * _MB + _FLOAT * _values(manifest) * prod(manifest.window_shape)


def _values(manifest: ModelManifest) -> float:
    """Values of a voxel of the window."""
    dimensions = 3 if manifest.slices is None else 2
    pooling = manifest.arguments.get("pooling")
    if manifest.network == "ultralight_unet" and dimensions == 3 and isinstance(pooling, list | tuple):
        if pooling[:1] not in ([1], (1,)):
            return _VALUES["ultralight_unet", 3]
        widths = manifest.arguments.get("widths")
        first = widths[0] if isinstance(widths, list | tuple) and widths else _BASE_WIDTH
        return _VALUES_UNPOOLED * max(1, int(first)) / _BASE_WIDTH
    return _VALUES.get((manifest.network, dimensions), _VALUES_UNKNOWN[dimensions])

"""Results on the meta device by our rules: shape, strides and type are PyTorch's own, and the rest is left to it."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from medseg.networks.meta_results import meta_result


class Compared(TorchDispatchMode):
    """Carries every operator out both ways; keeps those for which there is a rule, and what differs."""

    def __init__(self):
        super().__init__()
        self.known, self.wrong = set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        ours = None if kwargs else meta_result(func.__name__, args)
        result = func(*args, **(kwargs or {}))
        if ours is not None:
            self.known.add(func.__name__)
            found, expected = ([facts(part) for part in parts(value)] for value in (ours, result))
            if found != expected:
                self.wrong.append((func.__name__, found, expected))
        return result


def parts(result):
    return result if isinstance(result, tuple) else (result,)


def facts(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device.type


def meta(*shape, **more):
    return torch.empty(*shape, device="meta", **more)


VOLUME, PLANE = meta(2, 4, 5, 6, 7), meta(2, 4, 5, 6)
LAST = meta(2, 4, 5, 6).to(memory_format=torch.channels_last)
HALF = meta(2, 4, 5, 6, dtype=torch.float16)
FOUR = [meta(4) for _ in range(4)]


def test_every_rule_gives_what_pytorch_gives():
    with Compared() as both:
        for x in (VOLUME, PLANE, LAST, HALF):
            for call in (F.relu, F.gelu, torch.sigmoid, F.leaky_relu, F.hardtanh, F.relu6):
                call(x)
            for call in (F.relu, torch.sigmoid_, F.leaky_relu, F.hardtanh):
                call(x.clone()) if call is torch.sigmoid_ else call(x.clone(), inplace=True)
            for other in (x, 2, 0.5, x[:1], x[..., :1, :], x[0], torch.tensor(3.0)):
                x + other, x - other, x * other, x / other
        for x in (VOLUME, PLANE, LAST):
            for training in (True, False):
                F.batch_norm(x, *FOUR, training=training)
                F.batch_norm(x, None, None, *FOUR[:2], training=True)
        F.layer_norm(PLANE, (6,), meta(6), meta(6))
        F.layer_norm(VOLUME, (6, 7))
        F.interpolate(VOLUME, size=(3, 9, 8), mode="trilinear")
        F.interpolate(PLANE, scale_factor=2, mode="bilinear", align_corners=True)
        F.linear(meta(3, 4), meta(5, 4), meta(5))
    assert not both.wrong
    named = {"relu", "gelu", "sigmoid", "leaky_relu", "hardtanh"}
    in_place = {"relu_", "sigmoid_", "leaky_relu_", "hardtanh_", "addmm"}
    with_numbers = {f"{name}.Tensor" for name in ("add", "sub", "mul", "div")}
    norms = {"native_batch_norm", "native_layer_norm", "upsample_bilinear2d", "upsample_trilinear3d"}
    assert both.known == {f"{name}.default" for name in named | in_place | norms} | with_numbers


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: PLANE + meta(3, 5, 6), "broadcast"),
        (lambda: F.layer_norm(PLANE, (5,)), "normalized_shape"),
        (lambda: torch.addmm(meta(5), meta(3, 4), meta(3, 5)), "reduction dim"),
    ],
)
def test_what_cannot_be_is_refused_by_pytorch(call, error):
    with pytest.raises(RuntimeError, match=error) as plain:
        call()
    with Compared() as both, pytest.raises(RuntimeError) as ours:
        call()
    assert str(ours.value) == str(plain.value)
    assert not both.wrong


def test_where_a_rule_does_not_fit_there_is_no_answer():
    counts = meta(2, 3, dtype=torch.int64)
    assert meta_result("add.Tensor", (counts, counts)) is None  # their rules are others
    assert meta_result("add.Tensor", (PLANE, HALF)) is None
    assert meta_result("add.Tensor", (meta(1, 4, 5, 6), PLANE)) is None  # the second one's shape
    assert meta_result("relu.default", (torch.ones(2),)) is None  # has values
    assert meta_result("no_such_operator.default", (PLANE,)) is None
    assert meta_result("native_batch_norm.default", (PLANE, meta(3), None, None, None, True, 0.1, 1e-5)) is None

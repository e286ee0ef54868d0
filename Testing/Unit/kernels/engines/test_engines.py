"""Engines: chosen, refused aloud, kept in a cache, and always with PyTorch's answer."""

import ctypes
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medseg.inference.predictor import network_shape
from medseg.kernels.engines.agreement import agrees, least_dice, relative_errors, trial_windows
from medseg.kernels.engines.compiled_cache import (
    default_folder,
    drop_compiled,
    fingerprint,
    keep_compiled,
    kept_size,
    read_compiled,
)
from medseg.kernels.engines.engine import EngineRefused
from medseg.kernels.engines.make import make_engine
from medseg.kernels.engines.openvino_engine import describe_openvino, openvino_engine, openvino_is_installed
from medseg.kernels.engines.torch_engine import torch_engine
from medseg.networks import build_network
from medseg.networks.ops.deform_conv import DeformConvPack
from medseg.spec.errors import JobError
from medseg.spec.manifest import SliceRule
from planned import predict

CPU = torch.device("cpu")
SHAPE = (1, 32, 32, 32)
needs_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="needs the extra openvino")


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = build_network("ultralight_unet", widths="T", label_count=3).eval()
    give_weights(network)
    return network


def give_weights(network):
    """Large enough for labels of every kind."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)


class Doubling(nn.Module):
    """Something no converter follows: what it does depends on the values."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv3d(1, 2, 1)

    def forward(self, x):
        y = self.layer(x)
        return y * 2 if float(x.abs().max()) > 1.5 else y


def answers_alike(engine, network, shape=SHAPE):
    x = torch.randn(2, *shape)
    with torch.inference_mode():
        return agrees(engine(x), network(x))


def test_torch_is_always_there_and_says_what_the_network_says(network):
    engine = make_engine(network, SHAPE, name="torch", device=CPU)
    assert engine.name.startswith("PyTorch")
    assert engine.name.endswith("(float32)")
    assert engine.remarks == ()
    assert answers_alike(engine, network)


def test_a_few_passes_are_not_worth_a_lean_copy(network):
    x = torch.randn(1, *SHAPE)
    engine = make_engine(network, SHAPE, name="torch", device=CPU, passes=1)
    with torch.inference_mode():
        assert torch.equal(engine(x), network(x))


def test_half_precision_is_near_and_named(network):
    engine = torch_engine(network, SHAPE, device=CPU, precision="bfloat16", lean=False)
    x = torch.randn(1, *SHAPE)
    assert engine.name.endswith("(bfloat16)")
    assert 0 < relative_errors(engine(x), network(x).detach())[0] < 0.2


class WithAndWithout(nn.Module):
    """Looks foldable; but what folding hides is used a second time, by a function that is no module."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2)

    def forward(self, x):
        y = self.convolution(x)
        return self.norm(y) + y.abs()


def test_a_copy_that_answers_differently_is_not_used_and_this_is_said():
    network = WithAndWithout().eval()
    network.norm.running_var.fill_(9)
    engine = make_engine(network, SHAPE, name="torch", device=CPU)
    assert "as it is" in engine.remarks[0]
    assert answers_alike(engine, network)


def test_an_unknown_engine_is_refused(network):
    with pytest.raises(JobError, match="auto, torch, openvino, got 'onnx'"):
        make_engine(network, SHAPE, name="onnx", device=CPU)


@needs_openvino
def test_openvino_says_the_same_and_is_taken_from_the_cache_the_second_time(network, tmp_path):
    first = make_engine(network, SHAPE, name="auto", device=CPU, folder=tmp_path)
    assert first.name.startswith("OpenVINO")
    assert not first.from_cache
    assert answers_alike(first, network)
    second = make_engine(network, SHAPE, name="auto", device=CPU, folder=tmp_path, passes=1)
    assert second.from_cache
    x = torch.randn(2, *SHAPE)
    assert torch.equal(first(x), second(x))


@needs_openvino
def test_an_answer_stays_when_the_next_one_comes(network, tmp_path):
    engine = openvino_engine(network, SHAPE, folder=tmp_path)
    first = engine(torch.zeros(1, *SHAPE))
    kept = first.clone()
    engine(torch.ones(1, *SHAPE))
    assert torch.equal(first, kept)


@needs_openvino
def test_other_weights_are_compiled_anew(network, tmp_path):
    make_engine(network, SHAPE, device=CPU, folder=tmp_path)
    with torch.no_grad():
        network.head.bias += 1
    engine = make_engine(network, SHAPE, device=CPU, folder=tmp_path)
    assert not engine.from_cache
    assert answers_alike(engine, network)


@needs_openvino
def test_a_damaged_cache_is_compiled_over(network, tmp_path):
    make_engine(network, SHAPE, device=CPU, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    for damage in (lambda whole: whole[:-1], lambda whole: whole[:0], lambda whole: b"x" * len(whole)):
        path.write_bytes(damage(path.read_bytes()))
        engine = make_engine(network, SHAPE, device=CPU, folder=tmp_path)
        assert not engine.from_cache
        assert answers_alike(engine, network)
        assert make_engine(network, SHAPE, device=CPU, folder=tmp_path).from_cache


@needs_openvino
def test_whole_bytes_that_are_no_network_are_compiled_over(network, tmp_path):
    make_engine(network, SHAPE, device=CPU, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    keep_compiled(tmp_path, path.stem, b"something else")
    assert not make_engine(network, SHAPE, device=CPU, folder=tmp_path).from_cache


@needs_openvino
def test_without_a_place_to_keep_it_openvino_still_runs(network, tmp_path):
    file = tmp_path / "file"
    file.touch()
    engine = make_engine(network, SHAPE, device=CPU, folder=file / "inside")
    assert engine.name.startswith("OpenVINO")
    assert answers_alike(engine, network)


@needs_openvino
def test_a_network_that_changes_with_its_values_is_rejected_aloud(tmp_path):
    network = Doubling().eval()
    engine = make_engine(network, SHAPE, name="openvino", device=CPU, folder=tmp_path)
    assert engine.name.startswith("PyTorch")
    assert "answers differently" in engine.remarks[0]
    assert "PyTorch runs it instead" in engine.remarks[0]
    assert list(tmp_path.iterdir()) == []


class Sorting(nn.Module):
    """Uses an operator OpenVINO's frontend does not know."""

    def forward(self, x):
        return torch.special.i0e(x)


@needs_openvino
def test_a_network_that_does_not_convert_is_rejected_aloud(tmp_path):
    engine = make_engine(Sorting().eval(), SHAPE, device=CPU, folder=tmp_path)
    assert engine.name.startswith("PyTorch")
    assert "cannot convert" in engine.remarks[0]


@needs_openvino
def test_too_little_work_is_not_compiled_for_and_nothing_is_said(network, tmp_path):
    engine = make_engine(network, SHAPE, device=CPU, folder=tmp_path, passes=2)
    assert engine.name.startswith("PyTorch")
    assert engine.remarks == ()
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_auto_is_quiet_and_openvino_by_name_is_not(network, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert make_engine(network, SHAPE, device=CPU, folder=tmp_path).remarks == ()
    named = make_engine(network, SHAPE, name="openvino", device=CPU, folder=tmp_path)
    assert "openvino>=2026.1" in named.remarks[0]


@needs_openvino
def test_half_precision_needs_a_real_image_and_is_never_automatic(network, tmp_path):
    assert make_engine(network, SHAPE, device=CPU, precision="bfloat16", folder=tmp_path).name.startswith("PyTorch")
    with pytest.raises(EngineRefused, match=r"real image|has no bfloat16"):
        openvino_engine(network, SHAPE, precision="bfloat16", folder=tmp_path)
    with pytest.raises(EngineRefused, match="has no float16"):
        openvino_engine(network, SHAPE, precision="float16", folder=tmp_path)


@needs_openvino
def test_half_precision_with_other_labels_is_refused(network, tmp_path):
    """An untrained network's labels are near ties everywhere: rounding to 8 bits moves them."""
    if "bfloat16" not in describe_openvino():
        pytest.skip("needs a processor with bfloat16")
    with pytest.raises(EngineRefused, match=r"Dice of 0\.\d{4} only"):
        openvino_engine(network, SHAPE, precision="bfloat16", folder=tmp_path, real_windows=torch.randn(1, *SHAPE))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells where there is memory")
@needs_openvino
def test_python_still_hears_signals_after_engines_have_gone_in_the_order_in_which_they_came(network):
    engines = [openvino_engine(network, SHAPE) for _ in range(2)]
    while engines:
        del engines[0]
        gc.collect()
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    ranges = (line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines())
    has_memory = any(int(begin, 16) <= (stack.pointer or 0) < int(end, 16) for begin, end in ranges)
    assert stack.pointer is None or has_memory  # a signal delivered to a stack without memory ends the process


class SignalStack(ctypes.Structure):
    """``stack_t`` of signal.h, as Linux has it."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


class Deformed(nn.Module):
    """Offsets of several voxels."""

    def __init__(self, axes, **options):
        super().__init__()
        self.pack = DeformConvPack(axes, 4, 4, 3, start_undeformed=False, **options)
        nn.init.normal_(self.pack.offset.weight, std=0.3)

    def forward(self, x):
        return self.pack(x)


@needs_openvino
@pytest.mark.parametrize(
    ("axes", "options"),
    [(3, {"padding": 1}), (2, {"padding": 3, "dilation": 3, "groups": 4}), (2, {"stride": 2, "deformable_groups": 2})],
)
def test_openvino_runs_deformable_convolutions(axes, options):
    torch.manual_seed(0)
    network = Deformed(axes, **options).eval()
    shape = (4, *(9, 10, 11)[:axes])
    assert answers_alike(openvino_engine(network, shape), network, shape)


def test_telling_the_maker_is_no_part_of_it():
    """OpenVINO reports to its maker when imported; its reporter must never be, its silent stand-in is."""
    if not openvino_is_installed():
        pytest.skip("needs the extra openvino")
    code = (
        "import sys, torch\n"
        "from medseg.kernels.engines.openvino_engine import openvino_engine\n"
        "print(openvino_engine(torch.nn.Conv3d(1, 2, 3, padding=1).eval(), (1, 8, 8, 8)).name)\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "import openvino.tools.ovc as ovc\n"
        "print(ovc.telemetry_utils.tm.__name__)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("OpenVINO")
    assert ended.stdout.split()[-1] == "openvino.tools.ovc.telemetry_stub"


def test_the_check_tells_rounding_from_mistakes():
    expected = torch.randn(1, 3, 8, 8, 8)
    assert agrees(expected + 1e-6 * torch.randn_like(expected), expected)
    assert not agrees(expected * 1.001, expected)
    assert not agrees(torch.zeros_like(expected), expected)
    assert not agrees(torch.full_like(expected, torch.nan), expected)
    assert not agrees(expected[:, :2], expected)


def test_dice_of_labels_is_the_worst_class():
    expected = torch.zeros(1, 2, 10)
    expected[:, 1, :4] = 1
    found = expected.clone()
    found[0, :, 0] = 0  # one voxel of class 1 goes to class 0: 2 * 3 / (3 + 4)
    assert least_dice(expected, expected) == 1
    assert least_dice(found, expected) == pytest.approx(6 / 7)
    assert least_dice(torch.full_like(expected, torch.inf), expected) == 0


def test_trial_windows_are_the_same_every_time_and_differ_among_channels():
    first, second = trial_windows((2, 8, 6, 4), CPU), trial_windows((2, 8, 6, 4), CPU)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(window.shape == (1, 2, 8, 6, 4) and window.std() > 0.1 for window in first)
    assert all(not torch.equal(window[:, 0], window[:, 1]) for window in first)


def test_a_fingerprint_knows_weights_settings_and_words():
    network = build_network("ultralight_unet", widths="T")
    same = build_network("ultralight_unet", widths="T")
    same.load_state_dict(network.state_dict())
    other = build_network("ultralight_unet", widths="T", pooling=(1, 2, 2, 2, 2))
    other.load_state_dict(network.state_dict())
    assert fingerprint(network, ["a"]) == fingerprint(same, ["a"])
    names = {fingerprint(network, ["a"]), fingerprint(network, ["b"]), fingerprint(other, ["a"])}
    with torch.no_grad():
        same.head.bias[0] += 1e-6
    assert len(names | {fingerprint(same, ["a"])}) == 4


def test_the_cache_keeps_what_was_used_last_and_leaves_no_rubbish(tmp_path):
    folder = tmp_path / "a" / "b"
    for number in range(10):
        assert keep_compiled(folder, f"key{number}", bytes([number]))
        path = folder / f"key{number}.compiled"
        os.utime(path, (number, number))
    assert len(list(folder.iterdir())) == 8
    assert read_compiled(folder, "key9") == bytes([9])
    assert read_compiled(folder, "key0") is None
    drop_compiled(folder)
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_now_is_not(tmp_path):
    left, written = tmp_path / "left.part", tmp_path / "written.part"
    for path in (left, written):
        path.touch()
    os.utime(left, (0, 0))
    assert keep_compiled(tmp_path, "key", b"network")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.compiled", "written.part"]
    assert kept_size(tmp_path) == (1, len(b"network") + 32)  # with its SHA-256


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert kept_size(tmp_path / "none") == (0, 0)


def test_what_lies_in_a_folder_that_may_only_be_read_is_used(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(30, "Read-only file system")

    keep_compiled(tmp_path, "key", b"network")
    for name in ("os.utime", "tempfile.mkstemp"):  # who runs the tests may be allowed everything
        monkeypatch.setattr(name, refuse)
    assert read_compiled(tmp_path, "key") == b"network"
    assert not keep_compiled(tmp_path, "other", b"network")
    assert [path.name for path in tmp_path.iterdir()] == ["key.compiled"]


def test_the_folder_can_be_chosen(monkeypatch):
    monkeypatch.setenv("MEDSEG_ENGINE_CACHE", "/somewhere")
    assert default_folder() == Path("/somewhere")
    monkeypatch.delenv("MEDSEG_ENGINE_CACHE")
    assert default_folder().parts[-2:] == ("medseg", "engines")


@pytest.mark.parametrize("name", ["torch", pytest.param("openvino", marks=needs_openvino)])
@pytest.mark.parametrize("rule", [None, SliceRule(axis=1, context=1)])
def test_a_volume_gets_the_same_labels_from_every_engine(manifest, name, rule, tmp_path):
    torch.manual_seed(0)
    manifest = replace(manifest, window_shape=(32, 1 if rule else 32, 64), slices=rule)
    shape = network_shape(manifest)
    network = build_network(
        "ultralight_unet", widths="T", in_channels=shape[0], label_count=3, spatial_dims=len(shape) - 1
    ).eval()
    give_weights(network)
    with torch.no_grad():  # no label is everywhere the likeliest
        logits = network(torch.randn(1, *shape))
        network.head.bias -= logits.mean([0, *range(2, logits.ndim)])
    array = np.random.default_rng(0).normal(size=(1, 40, 34, 30)).astype(np.float32)
    engine = make_engine(network, shape, name=name, device=CPU, folder=tmp_path)
    assert engine.remarks == ()
    plain = predict(array, network, manifest, device=CPU).argmax(0)
    assert len(np.unique(plain)) == 3
    found = predict(array, network, manifest, device=CPU, engine=engine).argmax(0)
    assert np.count_nonzero(found != plain) <= 1  # a tie may fall to the other side

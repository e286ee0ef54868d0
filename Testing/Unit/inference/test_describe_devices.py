"""What this computer says of itself, against what psutil and torch say."""

import sys

import psutil
import pytest
import torch

from medseg.inference import main_memory
from medseg.inference.device import available_devices, choose_device, describe_devices


def test_every_device_a_job_may_name_is_described_and_the_processor_is_last():
    devices = describe_devices()
    assert tuple(device.name for device in devices) == available_devices()
    assert devices[-1].name == "cpu"
    assert all(device.title and device.name not in device.title for device in devices)
    assert [str(choose_device(device.name)) for device in devices] == [device.name for device in devices]


def test_free_memory_is_part_of_what_there_is():
    for device in describe_devices():
        assert 0 < device.free_mb <= device.total_mb


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/meminfo")
def test_without_psutil_the_system_is_asked_and_says_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    free, total = main_memory.main_memory_mb()
    monkeypatch.undo()
    memory = psutil.virtual_memory()
    assert total == memory.total // 2**20
    assert free == pytest.approx(memory.available / 2**20, rel=0.2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card_says_what_torch_says():
    first = describe_devices()[0]
    assert first.total_mb == torch.cuda.mem_get_info(0)[1] // 2**20
    assert first.title == torch.cuda.get_device_name(0)

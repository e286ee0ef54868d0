"""Words for devices."""

import pytest
import torch

from medseg.inference.device import available_devices, choose_device, device_name
from medseg.spec.errors import JobError


def test_auto_is_one_of_what_there_is_and_cpu_is_always_there():
    assert str(choose_device("auto")) in available_devices()
    assert available_devices()[-1] == "cpu"
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("cards", "automatic"), [(0, "cpu"), (1, "cuda:0")])
def test_apple_graphics_are_used_only_when_asked_for_by_name(monkeypatch, cards, automatic):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    assert choose_device("auto") == torch.device(automatic)
    assert choose_device("mps") == torch.device("mps")
    with pytest.raises(JobError, match=r"choose auto, .*mps, cpu"):
        choose_device("gpu")


def test_cuda_means_the_first_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("auto") == torch.device("cuda:0")
    with pytest.raises(JobError, match=r"'cuda:2'.*choose auto, cuda:0, cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "CPU"])
def test_a_device_that_is_not_there_is_named_with_what_is(name):
    with pytest.raises(JobError, match=f"no device '{name}'.*cpu"):
        choose_device(name)


def test_the_processor_has_a_name_before_its_bracket():
    name = device_name(torch.device("cpu"))
    assert name.endswith(" (cpu)")
    assert len(name) > len(" (cpu)")

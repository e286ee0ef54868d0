"""What of Slicer is called, and with what: 5.10 has no packaging, 5.12 has."""

import os
import sys
from subprocess import CalledProcessError
from types import ModuleType, SimpleNamespace

import pytest

from medseg.desktop.install.installers import slicer_installers
from medseg.spec.errors import MissingDependency


@pytest.fixture
def slicer(monkeypatch):
    calls = []
    module = ModuleType("slicer")
    module.util = SimpleNamespace(pip_install=lambda arguments: calls.append(arguments))
    monkeypatch.setitem(sys.modules, "slicer", module)
    for name in ("slicer.packaging", "slicer.pydeps", "PyTorchUtils"):
        monkeypatch.setitem(sys.modules, name, None)
    return SimpleNamespace(calls=calls, module=module)


@pytest.mark.usefixtures("slicer")
def test_torch_comes_from_its_extension_which_does_not_ask_again(monkeypatch):
    assert slicer_installers().torch is None
    calls = []

    class Logic:
        def installTorch(self, **arguments):  # noqa: N802 - the extension's name
            calls.append(arguments)
            return "torch"

    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=Logic))
    assert slicer_installers().torch(">=2.6") == "torch"
    assert calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.6"}]


def test_the_rest_comes_by_slicers_pip_where_there_is_nothing_better(slicer, tmp_path):
    slicer_installers().packages(["safetensors>=0.4.3"], tmp_path / "constraints.txt")
    assert slicer.calls == [["safetensors>=0.4.3"]]


def test_and_by_slicers_packaging_where_there_is_one(slicer, tmp_path, monkeypatch):
    calls = []

    # The signature of Slicer 5.12: an argument it does not know would be an error there.
    def pip_ensure(
        requirements,
        constraints=None,
        skip_packages=None,
        prompt_install=True,
        prompt_restart=True,
        requester=None,
        skip_in_testing=True,
        show_progress=True,
    ):
        assert show_progress
        assert skip_packages is None
        assert [prompt_install, prompt_restart, skip_in_testing] == [False] * 3
        calls.append((requirements, constraints, requester))

    def load_requirements(path):
        with open(path) as file:  # noqa: PTH123
            return file.read().split()

    own = SimpleNamespace(load_requirements=load_requirements, pip_ensure=pip_ensure)
    monkeypatch.setitem(sys.modules, "slicer.packaging", own)
    slicer_installers().packages(["safetensors>=0.4.3"], tmp_path / "constraints.txt")
    assert calls == [(["safetensors>=0.4.3"], str(tmp_path / "constraints.txt"), "MedSegAttention")]
    assert slicer.calls == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("User declined"), r"was not installed \(User declined\); try again"),
        (CalledProcessError(1, ["pip"]), "could not be installed, pip ended with exit code 1.* check the network"),
        (OSError("DLL load failed"), r"was not installed \(DLL load failed\)"),
    ],
    ids=["no", "failed", "cannot be loaded"],
)
def test_an_installation_that_did_not_happen_is_a_sentence(slicer, tmp_path, error, sentence):
    def fail(_arguments):
        raise error

    slicer.module.util.pip_install = fail
    with pytest.raises(MissingDependency, match="safetensors.*" + sentence):
        slicer_installers().packages(["safetensors"], tmp_path / "constraints.txt")


def test_a_download_that_was_blocked_is_said_with_the_way_round_and_given_up_soon(slicer, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_RETRIES", raising=False)
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "60")  # the user's own
    seen = []

    def blocked(_arguments):
        seen.append((os.environ["PIP_RETRIES"], os.environ["PIP_DEFAULT_TIMEOUT"]))
        msg = "No module named 'torch'"
        raise ModuleNotFoundError(msg, name="torch")

    slicer.module.util.pip_install = blocked
    with pytest.raises(MissingDependency, match=r"nothing came from the network; .* folder of wheels") as no:
        slicer_installers().packages(["safetensors"], tmp_path / "constraints.txt")
    assert "No module named" not in str(no.value)
    assert seen == [("1", "60")]
    assert "PIP_RETRIES" not in os.environ

"""Nothing is installed unasked, and torch only through the extension that knows the graphics card."""

import sys
from subprocess import CalledProcessError
from types import ModuleType, SimpleNamespace

import pytest

from medseg.desktop import dependencies
from medseg.desktop.dependencies import ensure_packages, missing_packages, read_requirements
from medseg.spec.errors import MissingDependency


@pytest.fixture
def requirements(checkout):
    return checkout / "MedSegAttention" / "Resources" / "requirements.txt"


@pytest.fixture
def asked():
    return []


@pytest.fixture
def installs(monkeypatch):
    """A Slicer that remembers what it was asked to install."""
    calls = []
    slicer = ModuleType("slicer")
    slicer.util = SimpleNamespace(pip_install=calls.append)
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    for name in ("slicer.packaging", "slicer.pydeps", "PyTorchUtils"):
        monkeypatch.setitem(sys.modules, name, None)
    return calls


def lacks(monkeypatch, *packages):
    """As if these were missing until something was installed."""
    answers = [packages, ()]
    monkeypatch.setattr(dependencies, "missing_packages", lambda: answers.pop(0) if len(answers) > 1 else answers[0])


def test_what_is_here_is_not_missing():
    assert missing_packages() == ()


def test_nothing_is_asked_when_nothing_is_missing(requirements, installs):
    ensure_packages(requirements, lambda question: pytest.fail(question))
    assert installs == []


def test_no_means_no(monkeypatch, requirements, installs):
    lacks(monkeypatch, "safetensors")
    with pytest.raises(MissingDependency, match="nothing was changed"):
        ensure_packages(requirements, lambda _: False)
    assert installs == []


def test_yes_installs_what_was_named_and_never_torch_or_what_slicer_has(monkeypatch, requirements, installs, asked):
    lacks(monkeypatch, "safetensors")
    ensure_packages(requirements, lambda question: asked.append(question) or True)
    assert len(installs) == 1
    assert all(name in asked[0] for name in installs[0])
    assert not {"torch", "numpy", "SimpleITK", "scipy"} & {line.split(">")[0] for line in installs[0]}


def test_torch_without_its_extension_says_where_to_get_it(monkeypatch, requirements, installs):
    lacks(monkeypatch, "torch", "safetensors")
    with pytest.raises(MissingDependency, match="extension PyTorch in the Extensions Manager"):
        ensure_packages(requirements, lambda _: True)
    assert installs == []


@pytest.mark.parametrize("answer", [None, "torch"])
def test_torch_comes_through_its_extension_which_asks_itself(monkeypatch, requirements, installs, answer):
    lacks(monkeypatch, "torch")
    calls = []

    class Logic:
        def installTorch(self, **arguments):  # noqa: N802 - the extension's name
            calls.append(arguments)
            return answer

    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=Logic))
    if answer is None:
        with pytest.raises(MissingDependency, match="was not installed"):
            ensure_packages(requirements, lambda _: True)
    else:
        ensure_packages(requirements, lambda _: True)
    assert calls == [{"askConfirmation": True, "torchVersionRequirement": ">=2.6"}]
    assert installs == []


def slicers_installer(monkeypatch, calls, error=None):
    """Slicer's own installer; it raises what it raises when the user says no, or pip fails."""

    def pip_ensure(wanted, requester):
        calls.append((wanted, requester))
        if error is not None:
            raise error

    own = SimpleNamespace(load_requirements=lambda path: [path], pip_ensure=pip_ensure)
    monkeypatch.setitem(sys.modules, "slicer.packaging", own)


FAILURES = [
    (RuntimeError("User declined"), "was not installed \\(User declined\\); press Apply"),
    (CalledProcessError(1, ["pip"]), "could not be installed, pip ended with exit code 1"),
]


@pytest.mark.parametrize(("error", "sentence"), FAILURES, ids=["no", "failed"])
@pytest.mark.usefixtures("installs")
def test_an_installation_that_did_not_happen_is_a_sentence(monkeypatch, requirements, error, sentence):
    lacks(monkeypatch, "safetensors")
    calls = []
    slicers_installer(monkeypatch, calls, error)
    with pytest.raises(MissingDependency, match="safetensors.*" + sentence):
        ensure_packages(requirements, lambda _: True)
    assert len(calls) == 1


@pytest.mark.parametrize(("error", "sentence"), FAILURES, ids=["no", "failed"])
@pytest.mark.usefixtures("installs")
def test_so_it_is_where_slicer_is_older(monkeypatch, requirements, error, sentence):
    def fail(_wanted):
        raise error

    lacks(monkeypatch, "safetensors")
    monkeypatch.setattr(sys.modules["slicer"].util, "pip_install", fail)
    with pytest.raises(MissingDependency, match=sentence):
        ensure_packages(requirements, lambda _: True)


@pytest.mark.parametrize(("error", "sentence"), FAILURES, ids=["no", "failed"])
@pytest.mark.usefixtures("installs")
def test_so_it_is_for_torch(monkeypatch, requirements, error, sentence):
    class Logic:
        def installTorch(self, **_arguments):  # noqa: N802 - the extension's name
            raise error

    lacks(monkeypatch, "torch")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=Logic))
    with pytest.raises(MissingDependency, match="PyTorch " + sentence):
        ensure_packages(requirements, lambda _: True)


def test_slicers_own_installer_is_preferred(monkeypatch, requirements, installs):
    lacks(monkeypatch, "safetensors")
    calls = []
    slicers_installer(monkeypatch, calls)
    ensure_packages(requirements, lambda question: pytest.fail(question))
    assert calls == [([str(requirements)], "MedSegAttention")]
    assert installs == []


def test_what_is_still_missing_is_named(monkeypatch, requirements, installs):
    monkeypatch.setattr(dependencies, "missing_packages", lambda: ("safetensors",))
    with pytest.raises(MissingDependency, match="still missing: safetensors; restart"):
        ensure_packages(requirements, lambda _: True)
    assert len(installs) == 1


def test_comments_are_no_requirements(tmp_path):
    (tmp_path / "r.txt").write_text("# why\n\nsafetensors>=0.4  # because\n")
    assert read_requirements(tmp_path / "r.txt") == ["safetensors>=0.4"]

"""Nothing is installed unasked, torch only by the extension that knows the graphics card, and numpy never changes."""

import json
import os
import subprocess
import sys
import tomllib
import venv

import pytest

from medseg.desktop.console.calls import install_packages
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.installers import Installers
from medseg.desktop.install.requirements import OPENVINO, nothing_else_changes, read_requirements
from medseg.desktop.state.preferences import RESTART, MemoryStore, Preferences
from medseg.spec.errors import MissingDependency
from wheel_maker import make_wheel

SLICERS = {"numpy": "2.0.2", "scipy": "1.13.1", "SimpleITK": "2.4.0", "vtk": "9.4.0"}


@pytest.fixture
def requirements(checkout):
    return checkout / "MedSegAttention" / "Resources" / "requirements.txt"


class Computer:
    """A Slicer with some packages; what it is asked to install is there afterwards."""

    def __init__(self, **packages):
        self.there = {**SLICERS, **packages}
        self.done, self.questions, self.lines = [], [], []
        self.answer, self.installs, self.constraints = True, {"torch": "2.6.0", "safetensors": "0.5.0"}, None
        self.has_extension, self.torch_answer = True, "module"
        self.store = MemoryStore()
        self.preferences = Preferences(self.store)

    def confirm(self, question):
        self.questions.append(question)
        return self.answer

    def installers(self):
        return Installers(torch=self._torch if self.has_extension else None, packages=self._packages, pip=self._pip)

    def installer(self, requirements):
        return DependencyInstaller(
            requirements,
            self.confirm,
            self.preferences,
            installers=self.installers,
            versions=self.there.get,
            on_progress=self.lines.append,
        )

    def restart(self):
        self.store.setValue(RESTART, f"{os.getpid()}-1")  # an earlier process of the same number

    def _torch(self, specifier):
        self.done.append(("torch", specifier))
        self.there |= {name: version for name, version in self.installs.items() if name == "torch"}
        return self.torch_answer

    def _packages(self, lines, constraints):
        self.done.append(("packages", tuple(lines)))
        self.constraints = constraints.read_text()
        self.there |= {name: version for name, version in self.installs.items() if name != "torch"}

    def _pip(self, arguments):
        self.done.append(("pip", tuple(arguments)))
        self.there |= self.installs


@pytest.fixture
def computer():
    return Computer()


def test_nothing_is_asked_when_nothing_is_missing(requirements):
    computer = Computer(torch="2.7.1+cu128", safetensors="0.4.3")
    computer.installer(requirements).ensure()
    assert computer.questions == computer.done == []
    assert computer.installer(requirements).state().endswith("with torch 2.7.1+cu128, safetensors 0.4.3")


def test_it_asks_once_and_says_what_and_how_large(requirements, computer):
    computer.installer(requirements).ensure()
    (question,) = computer.questions
    for words in ("torch>=2.6: about 0.2 GB, or 3 GB", "safetensors>=0.4.3: below 1 MB", "numpy", "by its extension"):
        assert words in question
    assert computer.done == [("torch", ">=2.6"), ("packages", ("safetensors>=0.4.3",))]
    assert computer.lines == ["Installing PyTorch; this takes some minutes", "Installing safetensors>=0.4.3"]
    assert computer.installer(requirements).lacking() == ()


def test_no_means_no(requirements, computer):
    computer.answer = False
    with pytest.raises(MissingDependency, match="Nothing was installed and nothing was changed; you are asked again"):
        computer.installer(requirements).ensure()
    assert computer.done == computer.lines == []
    assert computer.preferences.restart == ""


def test_what_is_too_old_is_missing(requirements):
    computer = Computer(torch="2.2.1", safetensors="0.10.0")
    assert "torch>=2.6 (it has 2.2.1)" in computer.installer(requirements).state()
    computer.installer(requirements).ensure()
    assert computer.done == [("torch", ">=2.6")]
    assert "safetensors" not in computer.questions[0]


def test_what_slicer_has_is_pinned_to_the_versions_it_has(requirements, computer):
    computer.installer(requirements).ensure()
    assert computer.constraints.split() == [f"{name}==={version}" for name, version in SLICERS.items()]


def test_torch_without_its_extension_says_where_to_get_it_and_goes_on_after_the_restart(requirements, computer):
    computer.has_extension = False
    for _ in range(2):
        with pytest.raises(MissingDependency, match="extension PyTorch in the Extensions Manager, restart Slicer"):
            computer.installer(requirements).ensure()
    assert computer.questions == computer.done == []
    computer.restart()
    computer.has_extension = True
    for _ in range(2):  # however often the module is opened
        said = computer.installer(requirements).resume()
        assert "still to be installed: torch>=2.6, safetensors>=0.4.3. Press Apply to go on" in said
    computer.installer(requirements).ensure()
    assert [what for what, _ in computer.done] == ["torch", "packages"]
    assert computer.installer(requirements).resume() == ""


@pytest.mark.parametrize("has_other_python", [False, True])
def test_where_nothing_is_lacking_after_the_restart_the_installation_is_complete(
    requirements, computer, has_other_python
):
    computer.has_extension = False
    with pytest.raises(MissingDependency, match="restart Slicer"):
        computer.installer(requirements).ensure()
    computer.restart()
    if has_other_python:
        computer.preferences.python = sys.executable
    else:
        computer.there |= {"torch": "2.7.1", "safetensors": "0.5.0"}
    assert computer.installer(requirements).is_ready()
    assert "the installation is complete" in computer.installer(requirements).resume()
    assert computer.preferences.restart == ""
    assert computer.installer(requirements).resume() == ""  # said once
    assert computer.questions == computer.done == []


def test_torch_that_was_not_installed_is_told(requirements, computer):
    computer.torch_answer = None
    with pytest.raises(MissingDependency, match="PyTorch was not installed; try again"):
        computer.installer(requirements).ensure()
    assert computer.done == [("torch", ">=2.6")]


def test_what_is_still_not_there_waits_for_a_restart_and_is_not_installed_again(requirements, computer):
    computer.installs = {"torch": "2.6.0"}
    with pytest.raises(MissingDependency, match=r"must be restarted .*safetensors>=0.4.3.* then try again"):
        computer.installer(requirements).ensure()
    with pytest.raises(MissingDependency, match="must be restarted"):
        computer.installer(requirements).ensure()
    assert len(computer.questions) == 1
    assert "must be restarted" in computer.installer(requirements).resume()
    assert not computer.installer(requirements).is_ready()
    computer.restart()
    computer.there["safetensors"] = "0.5.0"
    computer.installer(requirements).ensure()
    assert computer.preferences.restart == ""
    assert len(computer.questions) == 1


def test_a_changed_numpy_is_told(requirements, computer):
    computer.installs["numpy"] = "2.5.0"
    with pytest.raises(MissingDependency, match=r"restarted .*\(numpy changed\)"):
        computer.installer(requirements).ensure()


class TestAnotherPython:
    def test_is_asked_once_and_nothing_is_installed(self, requirements, computer, monkeypatch):
        computer.preferences.python = sys.executable
        installer = computer.installer(requirements)
        installer.ensure()
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked twice"))
        installer.ensure()
        assert computer.questions == computer.done == []

    def test_says_what_it_has(self, requirements, computer):
        computer.preferences.python = sys.executable
        assert f"Ready: Python {sys.version.split()[0]} with torch 2" in computer.installer(requirements).state()

    def test_that_is_none_is_a_sentence(self, requirements, computer):
        computer.preferences.python = "/no/such/python"
        installer = computer.installer(requirements)
        with pytest.raises(MissingDependency, match=r"/no/such/python does not exist; choose"):
            installer.ensure()
        assert "does not exist" in installer.state()


class TestAPackageThatNothingNeeds:
    def test_is_never_asked_for_on_apply(self, requirements, computer):
        computer.installer(requirements).ensure()
        assert "openvino" not in computer.questions[0]

    def test_is_installed_after_asking_and_nothing_else_is(self, requirements, computer):
        computer.installs = {"openvino": "2026.4.1"}
        installer = computer.installer(requirements)
        assert installer.may_add(OPENVINO)
        installer.add(OPENVINO)
        (question,) = computer.questions
        for words in ("works without", "openvino>=2026.1: about 0.1 GB", "downloaded", "numpy"):
            assert words in question
        assert "torch" not in question
        assert computer.done == [("packages", ("openvino>=2026.1",))]
        assert "numpy===2.0.2" in computer.constraints
        assert not installer.may_add(OPENVINO)

    def test_no_means_no(self, requirements, computer):
        computer.answer = False
        with pytest.raises(MissingDependency, match=r"^Nothing was installed\.$"):
            computer.installer(requirements).add(OPENVINO)
        assert computer.done == []

    def test_is_taken_from_a_wheel_folder_where_there_is_one(self, requirements, computer, tmp_path):
        make_wheel(tmp_path, "openvino", "2026.2.0")
        computer.preferences.wheel_folder = str(tmp_path)
        computer.installs = {"openvino": "2026.2.0"}
        computer.installer(requirements).add(OPENVINO)
        assert computer.done == [("pip", ("--no-index", "--find-links", str(tmp_path), "openvino>=2026.1"))]
        assert "works without" in computer.questions[0]

    def test_is_not_installed_twice_nor_into_a_python_of_the_users(self, requirements, computer):
        computer.there["openvino"] = "2026.3.0"
        computer.installer(requirements).add(OPENVINO)
        del computer.there["openvino"]
        computer.preferences.python = sys.executable
        assert not computer.installer(requirements).may_add(OPENVINO)
        computer.installer(requirements).add(OPENVINO)
        assert computer.questions == computer.done == []

    def test_is_the_one_that_the_package_itself_offers(self, checkout):
        project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
        assert project["optional-dependencies"]["openvino"] == [str(OPENVINO)]


class TestAWheelFolder:
    @pytest.fixture
    def folder(self, tmp_path, computer):
        folder = tmp_path / "my wheels"
        make_wheel(folder, "safetensors", "0.5.0")
        computer.preferences.wheel_folder = str(folder)
        return folder

    def test_gives_everything_torch_too(self, requirements, computer, folder):
        make_wheel(folder, "torch", "2.6.0", ["numpy>=2"])
        computer.has_extension = False  # is not needed
        computer.installer(requirements).ensure()
        arguments = ("--no-index", "--find-links", str(folder), "torch>=2.6", "safetensors>=0.4.3")
        assert computer.done == [("pip", arguments)]
        (question,) = computer.questions
        for words in ("torch-2.6.0-py3-none-any.whl", "nothing is downloaded", str(folder), "graphics card"):
            assert words in question

    def test_that_lacks_wheels_names_them_before_asking(self, requirements, computer, folder):
        make_wheel(folder, "torch", "2.6.0", ["sympy>=1.13", "nvidia-cublas; sys_platform == 'plan9'"])
        with pytest.raises(MissingDependency, match=r"lacks wheels .*: sympy>=1.13; put them there"):
            computer.installer(requirements).ensure()
        assert computer.questions == computer.done == []

    def test_no_means_no(self, requirements, computer, folder):
        make_wheel(folder, "torch", "2.6.0")
        computer.answer = False
        with pytest.raises(MissingDependency, match="Nothing was installed"):
            computer.installer(requirements).ensure()
        assert computer.done == []

    def test_that_pip_does_not_like_is_a_sentence(self, requirements, computer, folder, monkeypatch):
        def fail(_arguments):
            raise subprocess.CalledProcessError(1, ["pip"])

        make_wheel(folder, "torch", "2.6.0")
        monkeypatch.setattr(computer, "_pip", fail)
        sentence = r"torch>=2.6, safetensors>=0.4.3 could not be installed, .*; check the wheels and try again"
        with pytest.raises(MissingDependency, match=sentence):
            computer.installer(requirements).ensure()


class TestARealPip:
    """Into a real environment: what it has stays, and what is missing comes."""

    @pytest.fixture
    def python(self, tmp_path):
        home = tmp_path / "environment"
        venv.create(home, with_pip=False)
        return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @pytest.fixture
    def pip(self, python):
        def run(arguments):
            command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--disable-pip-version-check"]
            subprocess.run([*command, *arguments], check=True, capture_output=True)

        return run

    @pytest.fixture
    def versions(self, python):
        code = "import json; from importlib import metadata as m; " + (
            "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
        )

        def look_up(name):
            said = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
            return json.loads(said).get(name)

        return look_up

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "all wheels"
        make_wheel(folder, "safetensors", "0.5.0")
        make_wheel(folder, "torch", "2.6.0+cpu", ["numpy", "tiny-helper"])
        make_wheel(folder, "tiny-helper", "1.0")
        make_wheel(folder, "numpy", "9.9.9")
        return folder

    @pytest.fixture
    def old_numpy(self, tmp_path, pip):
        pip(["--no-index", str(make_wheel(tmp_path / "old", "numpy", "2.0.2"))])

    @pytest.fixture
    def installer(self, requirements, pip, versions, folder):
        preferences = Preferences()
        preferences.wheel_folder = str(folder)
        own = Installers(torch=None, packages=lambda *_: pytest.fail("offline"), pip=pip)
        return DependencyInstaller(requirements, lambda _: True, preferences, installers=lambda: own, versions=versions)

    @pytest.mark.usefixtures("old_numpy")
    def test_takes_everything_from_the_folder_and_keeps_numpy(self, installer, versions):
        installer.ensure()
        assert [versions(name) for name in ("torch", "safetensors", "tiny-helper")] == ["2.6.0+cpu", "0.5.0", "1.0"]
        assert versions("numpy") == "2.0.2"

    @pytest.mark.usefixtures("old_numpy")
    def test_a_package_that_wants_another_numpy_is_refused_in_time(self, installer, versions, folder):
        make_wheel(folder, "torch", "2.7.0", ["numpy>=9"])
        with pytest.raises(MissingDependency, match=r"numpy>=9 \(Slicer has 2.0.2\)"):
            installer.ensure()
        assert (versions("numpy"), versions("torch")) == ("2.0.2", None)

    @pytest.mark.usefixtures("old_numpy")
    def test_a_pip_that_knows_nothing_of_us_keeps_numpy_too(self, pip, versions, folder, tmp_path, monkeypatch):
        """As the one of the PyTorch extension; the constraints lie in a folder with a space in its name."""
        spacious = tmp_path / "a user's folder"
        spacious.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(spacious))
        offline = ["--no-index", "--find-links", str(folder), "--upgrade", "numpy"]
        with nothing_else_changes(versions):
            pip(offline)
        assert versions("numpy") == "2.0.2"
        pip(offline)
        assert versions("numpy") == "9.9.9"  # so it was the constraints that held it


def test_the_constraints_of_others_stay(monkeypatch, computer):
    monkeypatch.setenv("PIP_CONSTRAINT", "https://example.org/c.txt")
    with nothing_else_changes(computer.there.get):
        assert os.environ["PIP_CONSTRAINT"].startswith("https://example.org/c.txt file:///")
    assert os.environ["PIP_CONSTRAINT"] == "https://example.org/c.txt"


def test_this_python_lacks_nothing(requirements):
    install_packages(requirements, lambda question: pytest.fail(question))


def test_comments_are_no_requirements(tmp_path):
    (tmp_path / "r.txt").write_text("# why\n\nsafetensors>=0.4  # because\nrich\n")
    assert [str(each) for each in read_requirements(tmp_path / "r.txt")] == ["torch>=2.6", "safetensors>=0.4", "rich"]


def test_a_requirement_that_cannot_be_compared_is_refused(tmp_path):
    (tmp_path / "r.txt").write_text("safetensors==0.4\n")
    with pytest.raises(ValueError, match=r"safetensors==0\.4"):
        read_requirements(tmp_path / "r.txt")

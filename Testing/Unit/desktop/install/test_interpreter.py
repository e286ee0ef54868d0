"""Whatever file a user names as a Python: the answer comes soon, and says what is wrong."""

import os
import sys
import time
import venv

import pytest

from medseg.desktop.install.interpreter import examine_interpreter
from medseg.desktop.install.requirements import Requirement
from medseg.spec.errors import MissingDependency

NEEDS = (Requirement("torch", "2.6"), Requirement("safetensors", "0.4.3"))

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are made with a shebang line here")


@pytest.fixture
def program(tmp_path):
    def make(text):
        path = tmp_path / "program"
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return make


def test_the_one_that_runs_this_will_do():
    found = examine_interpreter(sys.executable, NEEDS)
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert sorted(found.versions) == ["safetensors", "torch"]


def test_asking_imports_nothing_heavy(tmp_path, program):
    """The same Python, telling what it imports."""
    log = tmp_path / "imports.log"
    examine_interpreter(program(f'#!/bin/sh\nexec "{sys.executable}" -X importtime "$@" 2>"{log}"\n'), NEEDS)
    imported = {line.rpartition("|")[2].strip() for line in log.read_text().splitlines()}
    assert "json" in imported
    assert not {"torch", "numpy", "SimpleITK", "safetensors"} & imported


def test_an_empty_environment_is_told_what_to_install(tmp_path):
    venv.create(tmp_path / "e", with_pip=False)
    python = str(tmp_path / "e" / "bin" / "python")
    command = f'run "{python}" -m pip install --upgrade "torch>='
    with pytest.raises(MissingDependency, match=r"lacks .*: torch, safetensors, numpy, scipy, SimpleITK; ") as told:
        examine_interpreter(python, NEEDS)
    assert command in str(told.value)


def test_a_package_that_is_too_old_is_told_with_its_version():
    with pytest.raises(MissingDependency, match=r"torch>=999 \(it has 2"):
        examine_interpreter(sys.executable, [Requirement("torch", "999")])


def test_a_python_that_is_too_old_is_told(program):
    answer = 'medseg-probe:{"python": [3, 9, 10], "found": {}}'
    with pytest.raises(MissingDependency, match=r"is Python 3\.9\.10, and 3\.11 or later is needed"):
        examine_interpreter(program(f"#!/bin/sh\necho '{answer}'\n"), NEEDS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#!/bin/sh\necho hello\n", r"is no Python that works \(exit code 0\)"),
        ("#!/bin/sh\necho 'libtorch.so: not found' >&2; exit 3\n", r"no Python that works \(libtorch.so: not found\)"),
        ("#!/no/such/shell\n", "cannot be started"),
        ("\x7fELF nonsense", "cannot be started"),
    ],
    ids=["something else", "broken", "no shell", "no program"],
)
def test_what_is_no_python_is_told(program, text, sentence):
    with pytest.raises(MissingDependency, match=sentence):
        examine_interpreter(program(text), NEEDS)


def test_a_file_that_may_not_be_run_is_told(tmp_path):
    path = tmp_path / "python"
    path.touch(mode=0o644)
    with pytest.raises(MissingDependency, match="cannot be started"):
        examine_interpreter(str(path), NEEDS)


def test_a_folder_is_told(tmp_path):
    with pytest.raises(MissingDependency, match="is a folder; choose the python of a virtual environment"):
        examine_interpreter(str(tmp_path), NEEDS)


def test_one_that_never_answers_is_given_up(program):
    begun = time.monotonic()
    with pytest.raises(MissingDependency, match=r"did not answer within 0\.5 s"):
        examine_interpreter(program("#!/bin/sh\nexec sleep 60\n"), NEEDS, time_limit_s=0.5)
    assert time.monotonic() - begun < 20

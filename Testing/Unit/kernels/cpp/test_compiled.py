"""C++ kernels: built once, kept, and done without where they cannot be built."""

import logging
import os
from pathlib import Path

import pytest

from medseg.kernels.cpp import compiled

NAMES = ("mkir_kernel", "depthwise_gradient")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch):
    """Nothing is kept, and nothing remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiled.compiled.cache_clear()
    compiled._say_without.cache_clear()
    yield tmp_path
    compiled.compiled.cache_clear()
    compiled._say_without.cache_clear()


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_one_line_says_that_training_goes_on(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with caplog.at_level(logging.INFO):
        assert [compiled.compiled(name) for name in NAMES] == [None, None]
    assert len(said(caplog)) == 1
    assert "goes on in plain PyTorch" in said(caplog)[0]
    assert "no-such-compiler was not found" in said(caplog)[0]


@pytest.mark.usefixtures("fresh")
def test_a_compiler_that_refuses_is_quoted_in_one_line(monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        text = "Error building extension: [1/2] c++\nFAILED: kernel.o\nkernel.cpp:7: error: no vectors\nninja: stopped"
        raise RuntimeError(text)

    monkeypatch.setattr(compiled, "_build", refuse)
    with caplog.at_level(logging.INFO):
        assert compiled.compiled("mkir_kernel") is None
    assert said(caplog) == [
        "training goes on in plain PyTorch, without compiled kernels: kernel.cpp:7: error: no vectors"
    ]


def test_a_home_that_cannot_be_written_costs_no_compilation(fresh, caplog):
    (fresh / "cache").write_text("a file is in the way")
    with caplog.at_level(logging.INFO):
        assert compiled.compiled("mkir_kernel") is None
    assert len(said(caplog)) == 1
    assert not said(caplog)[0].startswith("compiling")


@pytest.mark.usefixtures("fresh")
def test_the_search_path_is_as_before(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    before = os.environ["PATH"]
    compiled.compiled("mkir_kernel")
    assert os.environ["PATH"] == before


def test_the_sources_are_part_of_the_package():
    for name in NAMES:
        assert Path(compiled.__file__).with_name(f"{name}.cpp").is_file()

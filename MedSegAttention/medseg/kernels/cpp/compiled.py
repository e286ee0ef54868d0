"""C++ kernels that are compiled on this computer when they are first asked for, and kept for the next time."""

import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from medseg.io.atomic import replacing
from medseg.spec.errors import MedSegError
from medseg.spec.places import home_folder

logger = logging.getLogger(__name__)

_FLAGS = ["-O3", "-march=native", "-ffast-math", "-std=c++20"]


@cache
def compiled(name: str) -> Any | None:
    """The module of ``name.cpp`` beside this file, or None, with a line in the log, where it cannot be built.

    Several processes may ask at the same time, and each may be killed: a build takes place in a folder of its own, and
    the cache holds whole files only. (The lock of PyTorch's own cache outlives a kill, and the next process waits for
    it for ever.)
    """
    source = Path(__file__).with_name(f"{name}.cpp")
    try:
        kept = _kept(name, source)
        if not kept.is_file():
            return _build(name, source, kept)
        spec = importlib.util.spec_from_file_location(f"medseg_{name}", kept)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except (RuntimeError, OSError, ImportError, subprocess.SubprocessError, MedSegError) as error:
        # no compiler, no ninja, one that refuses, or a home that cannot be written
        lines = str(error).splitlines() or [type(error).__name__]
        _say_without(next((line for line in lines if "error:" in line), lines[0]))  # of a compiler's long answer
        return None
    return module


def _build(name: str, source: Path, kept: Path) -> Any:
    from torch.utils.cpp_extension import get_cxx_compiler, load

    kept.parent.mkdir(parents=True, exist_ok=True)
    with _surroundings(), tempfile.TemporaryDirectory(prefix="medseg-build-") as folder:
        for tool in (get_cxx_compiler(), "ninja"):  # type: ignore[no-untyped-call]
            if shutil.which(tool) is None:
                msg = f"{tool} was not found"
                raise OSError(msg)
        logger.info("compiling %s, once on this computer; it takes a minute or two", source.name)
        module = load(f"medseg_{name}", [str(source)], extra_cflags=_FLAGS, build_directory=folder)
        with replacing(kept, overwrite=True) as temporary:
            temporary.write_bytes(Path(module.__file__).read_bytes())
    return module


@cache
def _say_without(reason: str) -> None:
    """One line for every reason, however many kernels it concerns."""
    logger.info("training goes on in plain PyTorch, without compiled kernels: %s", reason)


@contextmanager
def _surroundings() -> Iterator[None]:
    """What pip installed beside this Python (ninja) is found, also in an environment that is not activated.

    PyTorch's build helper keeps its thoughts about compilers to itself.
    """
    path, talker = os.environ.get("PATH", ""), logging.getLogger("torch.utils.cpp_extension")
    level = talker.level
    os.environ["PATH"] = os.pathsep.join([path, sysconfig.get_path("scripts")])
    talker.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ["PATH"] = path
        talker.setLevel(level)


def _kept(name: str, source: Path) -> Path:
    """Where the library lies that was built of this source, for this PyTorch, Python and processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    processor = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    parts = [torch.__version__, platform.python_version(), platform.machine(), processor, *_FLAGS]
    digest = hashlib.sha256("\n".join(parts).encode() + source.read_bytes()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache")
    return home / "medseg" / "kernels" / f"medseg_{name}-{digest}.so"

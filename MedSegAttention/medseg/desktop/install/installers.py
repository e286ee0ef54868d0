"""The three that install into Slicer: the PyTorch extension, Slicer's packaging, Slicer's pip."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency

REQUESTER = "MedSegAttention"
_PATIENCE = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "10"}  # what pip reads; a user's own values stay


@dataclass(frozen=True)
class Installers:
    """What installs, for the installer; a test brings its own."""

    # A version specifier -> something, or None where it did not install; None: the extension is not there.
    torch: Callable[[str], object] | None
    # Requirement lines and a constraints file.
    packages: Callable[[Sequence[str], Path], None]
    # Arguments of ``pip install``.
    pip: Callable[[Sequence[str]], None]


def slicer_installers() -> Installers:
    """Those of the Slicer this runs in; none of them asks again."""
    extension: Any = _optional("PyTorchUtils")

    def install_torch(specifier: str) -> object:
        with as_missing_dependency("PyTorch", _network_hint()), _soon_given_up():
            logic = extension.PyTorchUtilsLogic()
            return logic.installTorch(askConfirmation=False, torchVersionRequirement=specifier)

    torch = None if extension is None else install_torch
    return Installers(torch=torch, packages=_install_packages, pip=_pip)


def _install_packages(lines: Sequence[str], constraints: Path) -> None:
    # Slicer 5.12 has an installer that shows progress; its name has changed once. 5.10 has none.
    installer = _optional("slicer.packaging") or _optional("slicer.pydeps")
    with as_missing_dependency(", ".join(lines), _network_hint()), _soon_given_up():
        if installer is None or not hasattr(installer, "pip_ensure"):
            _pip(lines)
            return
        requirements = constraints.with_name("requirements.txt")
        requirements.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        installer.pip_ensure(
            installer.load_requirements(str(requirements)),
            constraints=str(constraints),
            prompt_install=False,  # the installer has asked
            prompt_restart=False,  # the worker is another process: what is loaded here is not in its way
            requester=REQUESTER,
            skip_in_testing=False,
        )


def _pip(arguments: Sequence[str]) -> None:
    import slicer

    slicer.util.pip_install(list(arguments))


@contextmanager
def as_missing_dependency(what: str, hint: str) -> Iterator[None]:
    """Turn what installers raise into a sentence.

    Args:
        what: was to be installed.
        hint: what the user may look at.

    Raises:
        MissingDependency: in place of it.
    """
    try:
        yield
    except subprocess.CalledProcessError as error:
        msg = _(
            "{what} could not be installed, pip ended with exit code {code}; "
            "its reason is in the Python Console; {hint} and try again"
        )
        raise MissingDependency(msg.format(what=what, code=error.returncode, hint=hint)) from error
    except ModuleNotFoundError as error:  # a download was blocked, and the installer went on to what it had not brought
        msg = _("{what} was not installed: nothing came from the network; {hint} and try again")
        raise MissingDependency(msg.format(what=what, hint=hint)) from error
    except (RuntimeError, ImportError, OSError) as error:  # a library that Windows cannot load is an OSError
        msg = _("{what} was not installed ({error}); try again").format(what=what, error=error)
        raise MissingDependency(msg) from error


def _network_hint() -> str:
    return _("check the network, or name a folder of wheels in Advanced, Install and diagnostics,")


@contextmanager
def _soon_given_up() -> Iterator[None]:
    """Let pip try twice, not six times, where the network does not answer: the window waits meanwhile."""
    wanted = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)


def _optional(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None

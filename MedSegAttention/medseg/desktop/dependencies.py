"""The one gate to installing anything, opened when Apply is pressed and never before.

torch comes through the PyTorch extension, which knows the graphics card; the rest through Slicer's own installer.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from medseg.spec.errors import MissingDependency

TORCH_VERSION = ">=2.6"
_IMPORTS = {"torch": "torch", "safetensors": "safetensors"}  # import name -> what a user calls it


def missing_packages() -> tuple[str, ...]:
    """Names of packages the worker needs and this Python does not have; imports none of them."""
    return tuple(name for module, name in _IMPORTS.items() if find_spec(module) is None)


def ensure_packages(requirements_file: Path, confirm: Callable[[str], bool]) -> None:
    """Install what is missing, after asking.

    Args:
        requirements_file: everything but torch.
        confirm: asks a question; False is no, and then nothing is installed.

    Raises:
        MissingDependency: if the user said no, an installation failed, or the PyTorch extension is not there.
    """
    missing = missing_packages()
    if not missing:
        return
    if "torch" in missing:
        _install_torch()
    if set(missing) - {"torch"}:
        _install_rest(requirements_file, confirm)
    still = missing_packages()
    if still:
        msg = f"still missing: {', '.join(still)}; restart Slicer and press Apply again"
        raise MissingDependency(msg)


def read_requirements(path: Path) -> list[str]:
    """Lines of a requirements file without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _install_torch() -> None:
    extension = _optional("PyTorchUtils")
    if extension is None:
        msg = (
            "PyTorch is needed, and the extension that installs it is not here; "
            "install the extension PyTorch in the Extensions Manager, restart Slicer and press Apply again"
        )
        raise MissingDependency(msg)
    with _told_as_missing("PyTorch"):
        logic = extension.PyTorchUtilsLogic()
        installed = logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_VERSION)
    if installed is None:
        msg = "PyTorch was not installed; press Apply again, or install it in the module PyTorch Utils"
        raise MissingDependency(msg)


def _install_rest(requirements_file: Path, confirm: Callable[[str], bool]) -> None:
    wanted = read_requirements(requirements_file)
    # Slicer 5.12 has an installer that asks, shows progress and knows when to restart; its name has changed once.
    installer = _optional("slicer.packaging") or _optional("slicer.pydeps")
    if installer is not None and hasattr(installer, "pip_ensure"):
        with _told_as_missing(", ".join(wanted)):
            installer.pip_ensure(installer.load_requirements(str(requirements_file)), requester="MedSegAttention")
        return
    if not confirm(f"These packages will be installed into Slicer's Python (below 2 MB): {', '.join(wanted)}"):
        msg = f"{', '.join(wanted)} was not installed; nothing was changed"
        raise MissingDependency(msg)
    import slicer

    with _told_as_missing(", ".join(wanted)):
        slicer.util.pip_install(wanted)


@contextmanager
def _told_as_missing(what: str) -> Iterator[None]:
    """Turn what installers raise into a sentence; Slicer's says a user's No with a ``RuntimeError``."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        msg = (
            f"{what} could not be installed, pip ended with exit code {error.returncode}; "
            "its reason is in the Python Console; check the network and press Apply again"
        )
        raise MissingDependency(msg) from error
    except RuntimeError as error:
        msg = f"{what} was not installed ({error}); press Apply to be asked again"
        raise MissingDependency(msg) from error


def _optional(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None

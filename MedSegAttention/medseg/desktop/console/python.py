"""Which Python a call from the console computes in, and whether all it needs is there."""

from collections.abc import Callable
from pathlib import Path

from medseg.desktop.install.dependencies import ensure_packages
from medseg.desktop.install.interpreter import examine_interpreter
from medseg.desktop.install.requirements import Versions, installed_version, read_requirements
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency


def stored_preferences() -> Preferences:
    """What the user set in the panel, by Qt's settings; where there is no Qt, nothing is set."""
    try:
        import qt
    except ImportError:
        return Preferences()
    return Preferences(qt.QSettings())


def install_packages(requirements_file: Path, confirm: Callable[[str], bool]) -> None:
    """Install what is missing, after asking; with what the user set in the panel, as Apply does it there.

    Args:
        requirements_file: everything but torch.
        confirm: asks a question; False is no, and then nothing is installed.

    Raises:
        MissingDependency: if the user said no, something failed, or Slicer has to be restarted first.
    """
    ensure_packages(requirements_file, confirm, stored_preferences())


def ready_python(
    python: str | None,
    requirements_file: Path,
    versions: Versions = installed_version,
    *,
    call: str = "ensurePackages()",
) -> str | None:
    """The interpreter that computes; nothing is installed.

    Args:
        python: that the caller named; None: the one chosen in the panel, else Slicer's own.
        requirements_file: everything but torch.
        versions: what is installed in this Python.
        call: what installs the packages.

    Returns:
        Its path; None: Slicer's own.

    Raises:
        MissingDependency: packages are missing there, or it is no Python; says what to do next.
    """
    wanted = read_requirements(requirements_file)
    chosen = python or stored_preferences().python
    if chosen is not None:
        return examine_interpreter(chosen, wanted).path
    lacking = [str(each) for each in wanted if not each.is_met_by(versions(each.name))]
    if lacking:
        msg = _(
            "Slicer's Python lacks {packages}; call {call} of the module MedSegAttention, which asks before "
            "it installs them, or name a Python that has them: python=..."
        )
        raise MissingDependency(msg.format(packages=", ".join(lacking), call=call))
    return None

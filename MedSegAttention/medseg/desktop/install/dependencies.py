"""Packages are installed here and nowhere else: when Apply is pressed, after asking, and never before.

torch comes through the PyTorch extension, which knows the graphics card; the rest through Slicer's own installer; both
from a folder of wheels where the user named one; nothing at all where the user named another Python.
"""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from medseg.desktop.install.installers import Installers, as_missing_dependency, slicer_installers
from medseg.desktop.install.interpreter import Interpreter, examine_interpreter
from medseg.desktop.install.requirements import (
    KEPT,
    OPENVINO,
    Requirement,
    Versions,
    installed_version,
    kept_versions,
    nothing_else_changes,
    read_requirements,
)
from medseg.desktop.install.wheel_folder import choose_wheels
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency

_MB = 1e6


class DependencyInstaller:
    """Lets a job through when all it needs is there, after installing it if the user agrees.

    Args:
        requirements_file: everything but torch.
        confirm: asks a question; False is no, and then nothing is installed.
        preferences: another Python, a wheel folder, and whether a restart is awaited.
        installers: None: Slicer's.
        versions: what is installed; None: in this Python.
        on_progress: hears one line before each step.
    """

    def __init__(
        self,
        requirements_file: Path,
        confirm: Callable[[str], bool],
        preferences: Preferences,
        *,
        installers: Callable[[], Installers] = slicer_installers,
        versions: Versions = installed_version,
        on_progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._wanted = read_requirements(requirements_file)
        self._confirm = confirm
        self._preferences = preferences
        self._installers = installers
        self._versions = versions
        self._on_progress = on_progress
        self._checked: Interpreter | None = None

    def ensure(self) -> None:
        """Install what is missing, after asking once; an interpreter of the user's choice is only checked, once.

        Raises:
            MissingDependency: if the user said no, something failed, or Slicer has to be restarted first.
        """
        python = self._preferences.python
        if python is not None:
            if self._checked is None or self._checked.path != python:
                self._checked = examine_interpreter(python, self._wanted)
            return
        lacking = self.lacking()
        if lacking:
            self._install(lacking)
        self._preferences.forget_restart()

    def may_add(self, package: Requirement) -> bool:
        """Whether a package that nothing needs is lacking and can be installed: not into a Python of the user's."""
        return self._preferences.python is None and not package.is_met_by(self._versions(package.name))

    def add(self, package: Requirement) -> None:
        """Install a package that nothing needs, after asking.

        Raises:
            MissingDependency: if the user said no, something failed, or Slicer has to be restarted first.
        """
        if self.may_add(package):
            self._install([package])

    def is_ready(self) -> bool:
        """Whether a worker has what it needs, as far as is known without starting one."""
        return self._preferences.python is not None or not self.lacking()

    def resume(self) -> str:
        """What the panel says when it opens while an installation waits for a restart, or did; else nothing.

        Where nothing is lacking any more the installation is complete, and no restart is awaited.
        """
        if self._preferences.restart == "needed":
            return _restart_text()
        if self._preferences.restart == "":
            return ""
        if self.is_ready():
            self._preferences.forget_restart()
            return _("Slicer was restarted and the installation is complete: press Apply to segment")
        names = ", ".join(self._lack_text(each) for each in self.lacking())
        return _("Slicer was restarted; still to be installed: {names}. Press Apply to go on").format(names=names)

    def lacking(self) -> tuple[Requirement, ...]:
        """What Slicer's Python does not have, or not new enough; imports none of it."""
        return tuple(each for each in self._wanted if not each.is_met_by(self._versions(each.name)))

    def state(self) -> str:
        """One line for the panel; starts the chosen interpreter where there is one."""
        python = self._preferences.python
        if python is not None:
            try:
                self._checked = examine_interpreter(python, self._wanted)
            except MissingDependency as error:
                self._checked = None
                return str(error)
            return _("Ready: Python {version} with {packages}").format(
                version=self._checked.python, packages=_listed(self._checked.versions)
            )
        lacking = self.lacking()
        if lacking:
            return _("Not installed in Slicer's Python: {packages}; press Apply to be asked").format(
                packages=", ".join(self._lack_text(each) for each in lacking)
            )
        versions = {each.name: self._versions(each.name) or "" for each in self._wanted}
        return _("Ready: Slicer's Python {version} with {packages}").format(
            version=platform.python_version(), packages=_listed(versions)
        )

    def _lack_text(self, each: Requirement) -> str:
        version = self._versions(each.name)
        return str(each) if version is None else _("{need} (it has {version})").format(need=each, version=version)

    def _install(self, lacking: Sequence[Requirement]) -> None:
        before = kept_versions(self._versions)
        if self._preferences.wheel_folder is None:
            self._from_network(lacking, self._installers())
        else:
            self._wait_for_restart()
            self._from_folder(Path(self._preferences.wheel_folder), lacking)
        changed = [name for name, version in before.items() if self._versions(name) != version]
        still = [str(each) for each in lacking if not each.is_met_by(self._versions(each.name))]
        if changed or still:
            self._preferences.ask_for_restart()
            what = _("{names} changed").format(names=", ".join(changed)) if changed else ", ".join(still)
            msg = _("Slicer must be restarted to finish the installation ({what}); then try again")
            raise MissingDependency(msg.format(what=what))

    def _from_network(self, lacking: Sequence[Requirement], installers: Installers) -> None:
        torch = [each for each in lacking if each.name == "torch"]
        rest = [str(each) for each in lacking if each.name != "torch"]
        if torch and installers.torch is None:
            self._preferences.ask_for_restart()
            msg = _(
                "PyTorch is needed, and the extension that installs it is not here; "
                "install the extension PyTorch in the Extensions Manager, restart Slicer and try again"
            )
            raise MissingDependency(msg)
        self._wait_for_restart()
        large = {"torch": _("about 0.2 GB, or 3 GB for an NVIDIA graphics card"), OPENVINO.name: _("about 0.1 GB")}
        large |= dict.fromkeys(("lightning-fabric", "monai"), _("some MB with what it needs"))
        lines = [f"- {each}: {large.get(each.name, _('below 1 MB'))}" for each in lacking]
        by_extension = _("PyTorch comes by its extension, which chooses the build for this computer.")
        self._ask(lacking, [*lines, _("They are downloaded from the network."), *([by_extension] if torch else [])])
        with nothing_else_changes(self._versions) as constraints:
            if torch and installers.torch is not None:
                self._on_progress(_("Installing PyTorch; this takes some minutes"))
                if installers.torch(f">={torch[0].minimum}") is None:
                    msg = _("PyTorch was not installed; try again, or install it in the module PyTorch Utils")
                    raise MissingDependency(msg)
            if rest:
                self._on_progress(_("Installing {packages}").format(packages=", ".join(rest)))
                installers.packages(rest, constraints)

    def _from_folder(self, folder: Path, lacking: Sequence[Requirement]) -> None:
        lines = [str(each) for each in lacking]
        choice = choose_wheels(folder, lines, self._versions)
        if choice.missing:
            msg = _("the folder {folder} lacks wheels for this Python and system: {names}; put them there")
            raise MissingDependency(msg.format(folder=folder, names=", ".join(choice.missing)))
        sizes = [(path.name, path.stat().st_size / _MB) for path in choice.wheels]
        text = _("They are taken from {folder} ({total:.1f} MB); nothing is downloaded.")
        taken = text.format(folder=folder, total=sum(size for _name, size in sizes))
        build = _("PyTorch comes from this folder, too, so its build must be one for this computer's graphics card.")
        has_torch = any(each.name == "torch" for each in lacking)
        files = [f"- {name}: {size:.1f} MB" for name, size in sizes]
        self._ask(lacking, [*files, taken, *([build] if has_torch else [])])
        self._on_progress(_("Installing {packages}").format(packages=", ".join(lines)))
        offline = ["--no-index", "--find-links", str(folder)]
        with nothing_else_changes(self._versions), as_missing_dependency(", ".join(lines), _("check the wheels")):
            # The PyTorch extension looks on the network only, so torch comes from the folder, too.
            self._installers().pip([*offline, *lines])

    def _wait_for_restart(self) -> None:
        """What was installed a moment ago and is still not there will not come by installing it again."""
        if self._preferences.restart == "needed":
            raise MissingDependency(_restart_text())

    def _ask(self, lacking: Sequence[Requirement], lines: Sequence[str]) -> None:
        """Ask whether packages may be installed; the lines say which, how large, and where they come from."""
        is_optional = OPENVINO in lacking
        needed = _("MedSegAttention needs these packages in Slicer's Python:")
        faster = _(
            "MedSegAttention works without this package, and faster on the processor with it in Slicer's Python:"
        )
        kept = _("Slicer's own {names} stay as they are.").format(names=", ".join(KEPT))
        if not self._confirm("\n".join([faster if is_optional else needed, *lines, kept, _("Install them?")])):
            again = _("Nothing was installed and nothing was changed; you are asked again the next time")
            raise MissingDependency(_("Nothing was installed.") if is_optional else again)


def _restart_text() -> str:
    return _("Slicer must be restarted to finish the installation; then try again")


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}".strip() for name, version in versions.items())

"""OpenVINO offered where it is not installed: the line that says so, and the way through the gate. No Qt."""

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.requirements import OPENVINO
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency


class EngineOffer:
    """What the panel says of the optional package, and does when its button is pressed.

    Args:
        preferences: say which Python computes.
        gate: installs into Slicer's Python; None: nothing can be installed.
    """

    def __init__(self, preferences: Preferences, gate: DependencyInstaller | None = None) -> None:
        self._preferences, self._gate = preferences, gate
        self._answer = ""  # of the last installation
        self._known: tuple[str | None, bool] | None = None  # for which Python it was looked, and what was found

    @property
    def can_install(self) -> bool:
        """Whether a button makes sense; looked up once, for the panel asks after every change."""
        python = self._preferences.python
        if self._known is None or self._known[0] != python:
            self._known = python, self._gate is not None and self._gate.may_add(OPENVINO)
        return self._known[1]

    def line(self, settings: PanelSettings) -> str:
        """What there is to say beside the choice of an engine; empty where nothing is.

        Args:
            settings: OpenVINO is not spoken of where the network runs on a card or PyTorch was chosen.
        """
        if settings.engine == "torch" or settings.device not in ("auto", "cpu"):
            return ""
        if self._answer:
            return self._answer
        if self.can_install:
            return _("A processor is 2 to 5 times faster with the optional package OpenVINO, which is not installed.")
        python = self._preferences.python
        if python is not None and settings.engine == "openvino":
            command = f'"{python}" -m pip install "{OPENVINO}"'
            return _("OpenVINO must be in the Python that computes: {command}").format(command=command)
        return ""

    def install(self) -> None:
        """Ask, install, and keep the answer for the line."""
        if self._gate is None:
            return
        try:
            self._gate.add(OPENVINO)
        except MissingDependency as error:
            self._answer = str(error)
        else:
            self._answer = _("OpenVINO is installed; the next run uses it.")
        self._known = None

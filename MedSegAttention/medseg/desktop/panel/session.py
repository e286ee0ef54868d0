"""What is remembered of a session for who asks for help: the log, and the names of people that must not leave."""

import re
from collections.abc import Mapping, Sequence

from medseg.desktop.panel.log_book import LogBook
from medseg.desktop.panel.support import collect_versions, support_report
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.settings import setting_texts
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node, nodes_of
from medseg.mrml.training_cases import NAMELESS, file_name
from medseg.spec.events import Device

_SHORT = 4  # a shorter name is a part of too many words, and is replaced only where it stands alone
_MIN_DIGITS = 3  # a shorter number is no name


class Session:
    """Holds the log, and makes the text of a support file.

    Args:
        parameters: hold the scene, whose names are left out, and the choices.
        preferences: of this computer.
        versions: of Slicer and of this program.

    Attributes:
        log: what happened.
    """

    def __init__(self, parameters: Parameters, preferences: Preferences, versions: Mapping[str, str]) -> None:
        self.log = LogBook()
        self._parameters, self._preferences, self._versions = parameters, preferences, versions
        self._names = NodeNames()  # of this session: what the log says of them is not sent

    def collect_names(self) -> None:
        """Remember what the nodes are called now; call before and after something may be written about them."""
        self._names.collect(self._parameters.scene)

    def report(self, devices: Sequence[Device], packages: str) -> str:
        """The text to send; see ``support_report``."""
        self.collect_names()
        return support_report(
            collect_versions(self._versions),
            self._preferences,
            self.log.text(),
            settings=setting_texts(self._parameters.settings),
            devices=devices,
            packages=packages,
            hide=self._names.hide,
        )


class NodeNames:
    """Names that people gave to nodes, maybe those of patients; also of nodes renamed since and of scenes closed."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._kinds = {
            "vtkMRMLVolumeNode": _("volume"),
            "vtkMRMLSegmentationNode": _("segmentation"),
            "vtkMRMLMarkupsNode": _("region"),
            "vtkMRMLSequenceNode": _("sequence"),
            "vtkMRMLSequenceBrowserNode": _("sequence browser"),
            "vtkMRMLTransformNode": _("transform"),
            "vtkMRMLTableNode": _("table"),
        }
        self._counts = dict.fromkeys(self._kinds, 0)

    def collect(self, scene: Node) -> None:
        """Remember the names that are in a scene now; call before and after something may be written about them."""
        for kind in self._kinds:
            for name in (str(node.GetName() or "").strip() for node in nodes_of(scene, kind)):
                if len(name) >= (_MIN_DIGITS if name.isdigit() else 2) and name not in self._aliases:
                    self._counts[kind] += 1
                    self._aliases[name] = f"{self._kinds[kind]} {self._counts[kind]}"

    def hide(self, text: str) -> str:
        """The text with "volume 1" and the like in the place of every name that was ever collected."""
        files = {file_name(name): alias for name, alias in self._aliases.items()}  # which name cases to learn from
        written = {form: alias for form, alias in files.items() if len(form) >= _SHORT and form != NAMELESS}
        written |= {form: alias for name, alias in self._aliases.items() for form in (name, repr(name)[1:-1])}
        if not written:
            return text
        longest_first = sorted(written, key=len, reverse=True)  # a name may begin with another one
        folded = {_folded(form): alias for form, alias in written.items()}
        pattern = re.compile("|".join(map(_pattern, longest_first)), re.IGNORECASE)
        return pattern.sub(lambda found: f"<{folded.get(_folded(found[0]), _('name'))}>", text)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _pattern(name: str) -> str:
    # A blank may have become the end of a line, and several of them one.
    words = r"\s+".join(map(re.escape, name.split()))
    return words if len(name) >= _SHORT and not name.isdigit() else rf"(?<!\w){words}(?!\w)"

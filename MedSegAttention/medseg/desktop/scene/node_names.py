"""Names that people gave to nodes, which may be names of people: known to be left out of what is sent to others."""

import re

from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import NAMELESS, file_name

_SHORT = 4  # a shorter name is a part of too many words, and is replaced only where it stands alone
_MIN_DIGITS = 3  # a shorter number is no name


class NodeNames:
    """Remembers the names of a scene's nodes, also when they were renamed or their scene was closed."""

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
            for number in range(scene.GetNumberOfNodesByClass(kind)):
                self._take(kind, str(scene.GetNthNodeByClass(number, kind).GetName() or ""))

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

    def _take(self, kind: str, name: str) -> None:
        name = name.strip()
        is_name = len(name) >= (_MIN_DIGITS if name.isdigit() else 2)
        if is_name and name not in self._aliases:
            self._counts[kind] += 1
            self._aliases[name] = f"{self._kinds[kind]} {self._counts[kind]}"


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _pattern(name: str) -> str:
    # A blank may have become the end of a line, and several of them one.
    words = r"\s+".join(map(re.escape, name.split()))
    return words if len(name) >= _SHORT and not name.isdigit() else rf"(?<!\w){words}(?!\w)"

"""SimpleITK with its C++ warnings kept off stderr, or heard and passed on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import SimpleITK

sitk: Any = SimpleITK  # its own annotations are partial and differ between releases


class _Listener(sitk.LoggerBase):  # type: ignore[misc]
    """Takes what ITK would print."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def DisplayText(self, text: str) -> None:  # noqa: N802 - ITK's name
        self._hear(text)

    def DisplayErrorText(self, text: str) -> None:  # noqa: N802
        self._hear(text)

    def DisplayWarningText(self, text: str) -> None:  # noqa: N802
        self._hear(text)

    def DisplayGenericOutputText(self, text: str) -> None:  # noqa: N802
        self._hear(text)

    def DisplayDebugText(self, text: str) -> None:  # noqa: N802
        del text

    def GetName(self) -> str:  # noqa: N802
        return "medseg"

    def _hear(self, text: str) -> None:
        said = re.sub(r"^.*?\((?:0x)?[0-9a-fA-F]+\):\s*", "", " ".join(text.split()))
        if said and said not in self.heard:
            self.heard.append(said)


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's C++ warnings off stderr for a while; what they say is checked here."""
    with _display(on=False):
        yield


@contextmanager
def heard_itk() -> Iterator[list[str]]:
    """Collect ITK's C++ warnings, each once and without the place in its source, instead of printing them."""
    listener = _Listener()
    before = listener.SetAsGlobalITKLogger()
    try:
        with _display(on=True):
            yield listener.heard
    finally:
        before.SetAsGlobalITKLogger()


@contextmanager
def _display(*, on: bool) -> Iterator[None]:
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(on)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)

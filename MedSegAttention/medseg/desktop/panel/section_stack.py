"""The collapsed sections under the result; a title says what in its section differs from the default."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ctk
import qt

from medseg.desktop.state.texts import _

_GAP = 3  # pixels between the titles


class Section(Protocol):
    """A part of the panel that most people never open."""

    title: str
    widget: Any
    tells_state: bool  # what ``differences`` names is no choice but what happens

    def refresh(self) -> None:
        """Show what is chosen now."""

    def differences(self) -> list[str]:
        """Names of what differs from the default; empty where nothing does."""


class SectionStack:
    """Sections below each other, each under a button that opens it.

    Args:
        sections: from top to bottom.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout(self.widget)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(_GAP)
        self.buttons: list[Any] = []
        self._sections = tuple(sections)
        for section in self._sections:
            button = ctk.ctkCollapsibleButton()
            button.collapsedHeight = 0  # or ten pixels of nothing stay below each title
            button.collapsed = True
            button.text = section.title
            inner = qt.QVBoxLayout(button)
            inner.addWidget(section.widget)
            column.addWidget(button)
            self.buttons.append(button)

    def when_first_opened(self, section: Section, action: Callable[[], None]) -> None:
        """Do something when the user unfolds a section for the first time."""
        waiting = [action]

        def heard(is_collapsed: bool) -> None:
            if not is_collapsed and waiting:
                waiting.pop()()

        self.buttons[self._sections.index(section)].connect("contentsCollapsed(bool)", heard)

    def refresh(self, only: Section | None = None) -> None:
        """Show what is chosen now, in the sections and in their titles.

        Args:
            only: the section that something changed for; None: any may have.
        """
        for section, button in zip(self._sections, self.buttons, strict=True):
            if only is not None and section is not only:
                continue
            section.refresh()
            names = section.differences()
            form = _("{section} ({names})") if section.tells_state else _("{section} (changed: {names})")
            title = form.format(section=section.title, names=", ".join(names))
            button.text = title if names else section.title
            button.setAccessibleName(button.text)

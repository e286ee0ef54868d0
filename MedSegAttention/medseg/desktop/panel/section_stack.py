"""The collapsed sections under the result; a title says what in its section differs from the default."""

from collections.abc import Callable, Sequence
from typing import Any

import ctk
import qt

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.controls import Section
from medseg.desktop.panel.models import CurrentModel, Models
from medseg.desktop.panel.sections.diagnostics import DiagnosticsSection
from medseg.desktop.panel.sections.models import ModelsSection
from medseg.desktop.panel.sections.performance import EngineOffer, PerformanceSection
from medseg.desktop.panel.sections.postprocessing import PostprocessingSection
from medseg.desktop.panel.sections.probabilities import ProbabilitiesSection
from medseg.desktop.panel.sections.queue import QueueSection
from medseg.desktop.panel.sections.region import RegionSection
from medseg.desktop.panel.sections.training import TrainingSection
from medseg.desktop.panel.session import Session
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.spec.errors import MedSegError

_INSIDE = (8, 4, 4, 6)  # pixels around an open section: left, top, right, bottom
_GAP = 0  # pixels between the titles: all of them closed fit a window of 900 pixels


class SectionStack:
    """Sections below each other, each under a button that opens it.

    Args:
        sections: from top to bottom.
        rare: those that few people need, from top to bottom, below one heading more.

    Attributes:
        buttons: of ``sections``, then of ``rare``.
        advanced: the heading; None where nothing is below it.
    """

    def __init__(self, sections: Sequence[Section], rare: Sequence[Section] = ()) -> None:
        self.widget = qt.QWidget()
        column = _column(self.widget)
        self._sections, self._rare = (*sections, *rare), tuple(rare)
        self.buttons: list[Any] = [_titled(section.title, section.widget) for section in self._sections]
        for button in self.buttons[: len(sections)]:
            column.addWidget(button)
        self.advanced: Any = None
        if rare:
            inside = qt.QWidget()
            inner = _column(inside)
            for button in self.buttons[len(sections) :]:
                inner.addWidget(button)
            self.advanced = _titled(_("Advanced"), inside)
            column.addWidget(self.advanced)

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
            _entitle(button, title if names else section.title)
        if self.advanced is not None and (only is None or only in self._rare):
            differing = [each.title for each in self._rare if each.differences() and not each.tells_state]
            title = _("Advanced (changed: {names})").format(names=", ".join(differing))
            _entitle(self.advanced, title if differing else _("Advanced"))


def _column(widget: Any) -> Any:
    column = qt.QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(_GAP)
    return column


def _titled(title: str, widget: Any) -> Any:
    """A widget below a button that opens it."""
    button = ctk.ctkCollapsibleButton()
    button.collapsedHeight = 0  # or ten pixels of nothing stay below each title
    button.collapsed = True
    _entitle(button, title)
    inner = qt.QVBoxLayout(button)
    inner.setContentsMargins(*_INSIDE)
    inner.addWidget(widget)
    return button


def _entitle(button: Any, title: str) -> None:
    button.text = title
    button.setAccessibleName(title)


class Sections(SectionStack):
    """All sections of the panel.

    Args:
        parameters: hold the choices.
        preferences: hold what belongs to this computer.
        queue: takes trainings, is shown, and knows the devices.
        session: holds the log.
        installer: of what a worker needs; None: nothing can be installed.
        training_installer: of what a training needs.
        models: those there are.
        current_model: the chosen one; None where it is not installed.
        current_segmentation: the one that is looked at; None: there is none.
        order_all: queues a job for every volume of the scene.
        say: hears a sentence for the user.
        on_models: called when a model was changed or removed.
        on_region: called when the region was moved or sized.
    """

    def __init__(
        self,
        parameters: Parameters,
        preferences: Preferences,
        queue: JobQueue,
        session: Session,
        *,
        installer: DependencyInstaller | None,
        training_installer: DependencyInstaller | None,
        models: Models,
        current_model: CurrentModel,
        current_segmentation: Callable[[], Node],
        order_all: Callable[[], None],
        say: Callable[[str], None],
        on_models: Callable[[], None],
        on_region: Callable[[], None],
    ) -> None:
        self._queue, self._say = queue, say
        check = None if installer is None else installer.state

        def report() -> str:
            return session.report(self.performance.known_devices, "" if check is None else check())

        self.region = RegionSection(parameters, lambda: parameters.inputs(1)[0], current_segmentation, on_region)
        offer = EngineOffer(preferences, installer)
        self.performance = PerformanceSection(parameters, current_model, self._ask_for_devices, offer)
        cleaning = PostprocessingSection(parameters, current_model)
        self.probabilities = ProbabilitiesSection(parameters, current_segmentation)
        self.training = TrainingSection(parameters, lambda: models.bundles, current_model, queue, training_installer)
        self.models = ModelsSection(
            parameters, preferences, models, current_model, queue, installer=installer, on_change=on_models
        )
        self.jobs = QueueSection(parameters, queue, order_all)
        diagnostics = DiagnosticsSection(preferences, session.log, report, check)
        rare: list[Section] = [self.performance, cleaning, self.probabilities, self.models, self.training, diagnostics]
        super().__init__([self.region, self.jobs], rare)
        self.when_first_opened(self.training, self.training.propose)
        self.when_first_opened(
            self.performance, lambda: self.performance.look() if installer is None or installer.is_ready() else None
        )

    def close(self) -> None:
        """Let go of the scene: the panel is being closed."""
        self.region.close()
        self.training.close()
        self.models.close()

    def _ask_for_devices(self) -> None:
        try:
            self._queue.describe()
        except MedSegError as error:  # there is no Python to ask
            self.performance.show_devices(())
            self._say(str(error))

"""The section of the panel about models themselves: import one, label one, remove one, share folders of them."""

from collections.abc import Callable

import qt

from medseg.bundles.catalogue import Bundle
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.controls import Section
from medseg.desktop.panel.models import Models
from medseg.desktop.panel.sections.model_folders import ModelFolders
from medseg.desktop.panel.sections.model_import import ModelImport
from medseg.desktop.panel.sections.model_labels import ModelLabels
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _

_GAP = 8


class ModelsSection(Section):
    """Three parts below each other.

    Args:
        parameters: hold which model is chosen.
        preferences: hold the shared folders.
        models: those there are.
        current_model: the chosen one; None where it is not installed.
        queue: takes imports, and knows which models are at work.
        installer: installs what a kind of model needs; None: nothing is installed.
        on_change: called when a model was changed or removed.
    """

    def __init__(
        self,
        parameters: Parameters,
        preferences: Preferences,
        models: Models,
        current_model: Callable[[], Bundle | None],
        queue: JobQueue,
        *,
        installer: DependencyInstaller | None,
        on_change: Callable[[], None],
    ) -> None:
        self.title = _("Models: import, label, share")
        self._preferences = preferences
        self.importing = ModelImport(parameters, models, queue, installer)
        self.labels = ModelLabels(current_model, queue, on_change)
        self.folders = ModelFolders(parameters, preferences, models, current_model, queue, on_change)
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout(self.widget)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(_GAP)
        for part in (self.importing, self.labels, self.folders):
            column.addWidget(part.widget)

    def refresh(self) -> None:
        """Show the model that is chosen, and what became of an import."""
        self.importing.refresh()
        self.labels.refresh()
        self.folders.refresh()

    def differences(self) -> list[str]:
        """The shared folders, where there are some in the setting."""
        return [_("Shared folders")] if self._preferences.model_folders else []

    def close(self) -> None:
        """Look at nothing any more."""
        self.importing.close()

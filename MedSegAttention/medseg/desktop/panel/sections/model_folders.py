"""The part of the panel about folders of models: others' that are read, the user's own that is opened and tidied."""

import os
from collections.abc import Callable
from pathlib import Path

import qt

from medseg.bundles.catalogue import Bundle
from medseg.bundles.own import remove_bundle, removed_place, require_own
from medseg.desktop.panel.controls import load_ui, show_text
from medseg.desktop.panel.models import Models
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.training_choices import models_folder
from medseg.desktop.state.order import Order, TrainingOrder
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.spec.errors import JobError, MedSegError
from medseg.spec.places import expanded


class ModelFolders:
    """Shared folders, the user's own, and the removal of a model.

    Args:
        parameters: hold which model is chosen.
        preferences: hold the shared folders.
        models: those there are.
        current_model: the chosen one; None where it is not installed.
        queue: knows which models are at work.
        on_change: called when a model was removed, and when all folders are to be shown anew.
    """

    def __init__(
        self,
        parameters: Parameters,
        preferences: Preferences,
        models: Models,
        current_model: Callable[[], Bundle | None],
        queue: JobQueue,
        on_change: Callable[[], None],
    ) -> None:
        self._parameters, self._preferences, self._models = parameters, preferences, models
        self._current, self._queue, self._on_change = current_model, queue, on_change
        self._said, self._shown = "", ""
        self.widget, self._ui = load_ui("ModelFolders")
        ui = self._ui
        ui.shared.connect("editingFinished()", lambda: self._store(str(ui.shared.text)))
        ui.add.connect("clicked()", self._add)
        ui.look.connect("clicked()", self._look)
        ui.open.connect("clicked()", self.open_folder)
        ui.remove.connect("clicked()", self.remove)
        self.refresh()

    def refresh(self) -> None:
        """Show the shared folders and what became of them."""
        text = os.pathsep.join(map(str, self._preferences.model_folders))
        if text != self._shown:  # what is being typed stays
            self._shown = text
            self._ui.shared.setText(text)
        show_text(self._ui.places, "\n".join([*self._models.lines(), *filter(None, [self._said])]))
        bundle = self._current()
        self._ui.remove.setEnabled(bundle is not None and bundle.origin == "own")

    def open_folder(self) -> None:
        """Show the folder of the user's own models in the system's file browser; it is made where it is not there."""
        folder = models_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._say(_("{folder} cannot be made ({reason})").format(folder=folder, reason=error.strerror))
            return
        if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder))):
            self._say(_("The system opens no folders; your models are in {folder}").format(folder=folder))

    def remove(self) -> None:
        """Take the chosen model out of the list, after asking; its folder is kept."""
        bundle = self._current()
        if bundle is None:
            return
        import slicer

        title = bundle.manifest.title
        try:
            require_own(bundle)
            self._require_idle(bundle)
            question = _(
                "Remove {title} from the list of models? Its folder {folder} is not deleted: it is moved to {place}, "
                "and moved back it is in the list again."
            )
            place = removed_place(bundle).parent
            if not slicer.util.confirmOkCancelDisplay(question.format(title=title, folder=bundle.folder, place=place)):
                return
            self._require_idle(bundle)  # asking lets events through
            kept = remove_bundle(bundle)
        except (MedSegError, OSError) as error:
            self._say(str(error))
            return
        if self._parameters.settings.model == bundle.manifest.model_id:
            self._parameters.change(model="")
        self._said = _("{title} was removed; its folder is {place}: move it back, or delete it there.").format(
            title=title, place=kept
        )
        self._on_change()

    def _require_idle(self, bundle: Bundle) -> None:
        for order in (row.order for row in self._queue.rows if not row.has_ended):
            used = order.bundle if isinstance(order, Order) else None
            used = order.start if isinstance(order, TrainingOrder) else used
            if used is not None and used.folder == bundle.folder:
                msg = _("A job in the queue uses this model; wait for its end, or cancel it there")
                raise JobError(msg)

    def _add(self) -> None:
        chosen = str(qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of shared models"), "") or "")
        if chosen:
            self._preferences.model_folders = (*self._preferences.model_folders, Path(chosen))
            self.refresh()

    def _store(self, text: str) -> None:
        folders = [expanded(each.strip()) for each in text.split(os.pathsep) if each.strip()]
        self._preferences.model_folders = folders

    def _look(self) -> None:
        self._said = ""
        self._models.look()
        self._on_change()

    def _say(self, text: str) -> None:
        self._said = text
        self.refresh()

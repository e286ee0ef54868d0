"""The part of the panel that imports: what is handed over is looked at, asked about, queued, and its card shown."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import qt

from medseg.bundles.importing.kind import configurations_in, datasets_in, kind_of
from medseg.bundles.importing.nnunet.totalsegmentator.whole_tasks import whole_tasks
from medseg.cli import flag_values
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.requirements import MONAI, NNUNET
from medseg.desktop.panel.controls import load_ui, selected, set_choices, show_text
from medseg.desktop.panel.model_card import card_html
from medseg.desktop.panel.models import Models
from medseg.desktop.queue.import_run import make_import_order
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.state.in_thread import InThread
from medseg.desktop.state.order import ImportOrder
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.spec.errors import JobError, MedSegError
from medseg.spec.import_job import Choices
from medseg.spec.imported import SourceKind

NETWORKS = ("dlka_net", "dlka_net_2d", "emf_former", "medical_transformer", "mslau_net", "ultralight_unet")
_NEEDS = {"nnunet": NNUNET, "monai": MONAI}


@dataclass(frozen=True)
class _Seen:
    """What somebody handed over, by the names of its files."""

    kind: SourceKind
    configurations: tuple[str, ...] = ()  # of nnU-Net
    tasks: tuple[str, ...] = ()  # of TotalSegmentator, whose data sets are all there


class ModelImport:
    """Makes import orders; the worker does them.

    Args:
        parameters: hold which model is chosen.
        models: those there are.
        queue: takes the orders.
        installer: installs what a kind of model needs when Import is pressed; None: nothing is installed.
    """

    def __init__(
        self, parameters: Parameters, models: Models, queue: JobQueue, installer: DependencyInstaller | None
    ) -> None:
        self._parameters, self._models, self._queue, self._installer = parameters, models, queue, installer
        self._kind: SourceKind | None = None
        self._looked_at = ""  # the text that kind and configurations are of
        self._looking: InThread[_Seen] | None = None
        self._row: Row | None = None  # the latest import
        self._shown: Row | None = None  # whose card is shown
        self._is_ordering = False
        self.widget, self._ui = load_ui("ModelImport")
        ui = self._ui
        set_choices(ui.network, [(name, name) for name in NETWORKS])
        ui.card.setVisible(False)
        ui.use.setVisible(False)
        ui.source.connect("textChanged(QString)", lambda _text: self._forget_kind())
        ui.source.connect("editingFinished()", self.look)
        ui.folder.connect("clicked()", self._choose_folder)
        ui.file.connect("clicked()", self._choose_file)
        ui.importModel.connect("clicked()", self.import_model)
        ui.use.connect("clicked()", self._use)
        self._forget_kind()

    def refresh(self) -> None:
        """Show the card of an import that is done."""
        row = self._row
        if row is None or row is self._shown or not row.has_ended:
            return
        self._shown = row
        is_done = row.state is State.DONE
        bundle = self._models.bundles.get(self._new_id) if is_done else None
        self._ui.card.setVisible(bundle is not None)
        self._ui.use.setVisible(bundle is not None)
        if bundle is not None:
            self._ui.card.setHtml(card_html(bundle))
            self._forget_source()
        self._say(row.details or row.message)

    def look(self) -> None:
        """Look what has been handed over, by the names of its files, in a thread: a drive may be slow."""
        text = self._source
        if not text or text == self._looked_at:
            return
        self._looked_at = text
        self._forget_look()
        self._say(_("Looking at it..."))
        path = Path(text)
        self._looking = InThread(partial(_look_at, path), self._show_kind, self._refuse_source)

    def import_model(self) -> None:
        """Queue the import; what is wrong with it is said."""
        if self._is_ordering:  # pressed again while an installation lets events through
            return
        self._is_ordering = True
        try:
            if self._kind is None:
                msg = _("Choose a folder, a ZIP archive or a file of weights first.")
                raise JobError(msg)
            order = self._order(self._kind)
            if self._installer is not None:
                self._installer.ensure()
                if self._kind in _NEEDS:
                    self._installer.add(_NEEDS[self._kind])
            self._row = self._queue.add(order)
            self._say(_("The import is in the queue; the section Queue and the line under Apply say how far it is."))
        except (MedSegError, OSError) as error:
            self._say(str(error))
        finally:
            self._is_ordering = False

    def close(self) -> None:
        """Look at nothing any more."""
        self._forget_look()

    @property
    def _source(self) -> str:
        return str(self._ui.source.text).strip()

    @property
    def _new_id(self) -> str:
        order = None if self._row is None else self._row.order
        return order.job.choices.model_id if isinstance(order, ImportOrder) else ""

    def _order(self, kind: SourceKind) -> ImportOrder:
        ui = self._ui
        taken = self._models.bundles
        waiting = [row.order for row in self._queue.rows if not (row.has_ended or row.is_stopping)]
        source, title = Path(self._source), str(ui.name.text)
        if kind != "weights":
            chosen, task = (selected(box) if kind == "nnunet" else None for box in (ui.configuration, ui.task))
            return make_import_order(
                source, title, Choices(model_id="new"), taken, waiting, configuration=chosen, task=task
            )
        choices = Choices(
            model_id="new",
            labels=flag_values.read_labels(_text(ui.labelNames) or ""),
            intensity=flag_values.read_intensity(_text(ui.intensity)),
            spacing_mm=flag_values.read_spacing(_text(ui.spacing)),
            window_shape=flag_values.read_voxels(_text(ui.window), _("Window")),
        )
        network = str(ui.network.currentText).strip()
        arguments = flag_values.read_arguments(_text(ui.arguments))
        return make_import_order(source, title, choices, taken, waiting, network=network, arguments=arguments)

    def _choose_folder(self) -> None:
        self._take(qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of a model"), self._source))

    def _choose_file(self) -> None:
        self._take(qt.QFileDialog.getOpenFileName(self.widget, _("ZIP archive or file of weights"), self._source))

    def _take(self, path: Any) -> None:
        if path:
            self._ui.source.setText(str(path))
            self.look()

    def _show_kind(self, found: _Seen) -> None:
        self._kind = found.kind
        ui = self._ui
        kinds: dict[SourceKind, str] = {
            "nnunet": _("This is a model of nnU-Net v2."),
            "monai": _("This is a MONAI bundle."),
            "weights": _("This is taken for a file of weights, which names neither its network nor its segments."),
        }
        configurations = found.configurations if len(found.configurations) > 1 and not found.tasks else ()
        for box, label, names in (
            (ui.configuration, ui.configurationLabel, configurations),
            (ui.task, ui.taskLabel, found.tasks),
        ):
            set_choices(box, [(each, each) for each in names])
            box.setVisible(bool(names))
            label.setVisible(bool(names))
        ui.weightsFields.setVisible(self._kind == "weights")
        if not str(ui.name.text).strip():
            ui.name.setText(Path(self._source).stem)
        ui.importModel.setEnabled(True)
        self._say(kinds[found.kind])

    def _refuse_source(self, reason: str) -> None:
        self._say(reason)

    def _forget_kind(self) -> None:
        if self._looked_at and self._source == self._looked_at:
            return
        self._kind, self._looked_at = None, ""
        self._forget_look()
        ui = self._ui
        for part in (ui.configuration, ui.configurationLabel, ui.task, ui.taskLabel, ui.weightsFields):
            part.setVisible(False)
        ui.importModel.setEnabled(False)
        self._say("")

    def _forget_source(self) -> None:
        self._ui.source.setText("")
        self._ui.name.setText("")

    def _forget_look(self) -> None:
        if self._looking is not None:
            self._looking.forget()
        self._looking = None

    def _use(self) -> None:
        if self._new_id in self._models.bundles:
            self._parameters.change(model=self._new_id)

    def _say(self, text: str) -> None:
        show_text(self._ui.kind, text)


def _look_at(path: Path) -> _Seen:
    kind = kind_of(path)
    if kind != "nnunet":
        return _Seen(kind)
    return _Seen(kind, tuple(configurations_in(path)), whole_tasks(datasets_in(path)))


def _text(edit: Any) -> str | None:
    return str(edit.text).strip() or None

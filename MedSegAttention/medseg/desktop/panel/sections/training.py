"""The section of the panel that trains: cases of the scene or of a folder, a beginning, a time, and a name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt

from medseg.bundles.catalogue import Bundle
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.controls import Section, load_ui, selected, set_cell, set_choices, show_text
from medseg.desktop.panel.sections.task import Task
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.training_choices import chosen_start, held_out_words, model_folder, start_choices
from medseg.desktop.queue.training_run import make_training_order
from medseg.desktop.scene.cases import propose_pairs
from medseg.desktop.state.order import TrainingOrder
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.io.dataset import describe_dataset
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import Pair, check_steps, labels_of
from medseg.spec.errors import JobError, MedSegError

_SCENE, _FOLDER = "scene", "folder"
_MINUTE = 60.0


class TrainingSection(Section):
    """Makes training orders.

    Args:
        parameters: hold the scene and the device.
        bundles: the installed models by id.
        current_model: the one that is chosen in the panel.
        queue: takes the orders.
        installer: installs what a training needs when Train is pressed; None: nothing is installed.
    """

    def __init__(
        self,
        parameters: Parameters,
        bundles: Callable[[], Mapping[str, Bundle]],
        current_model: Callable[[], Bundle | None],
        queue: JobQueue,
        installer: DependencyInstaller | None = None,
    ) -> None:
        self.title = _("Train a model of your own")
        self._parameters, self._bundles, self._model = parameters, bundles, current_model
        self._jobs, self._installer = queue, installer
        self._scene: Node = None  # that the selectors list
        self._pairs: list[Pair] = []  # one a line of the table
        self._choices: list[tuple[str, str]] = []
        self._is_training = False  # the packages are being looked at
        self.widget, self._ui = load_ui("TrainingSection")
        self._task = Task(self._say, self._show_state)
        set_choices(self._ui.source, [(_("The scene"), _SCENE), (_("A folder"), _FOLDER)])
        table = self._ui.pairs
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("Volume"), _("Segmentation")])
        for column in range(2):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        self._ui.note.setVisible(False)
        ui = self._ui
        ui.source.connect("currentIndexChanged(int)", lambda _index: self._show_state())
        ui.pairs.connect("itemSelectionChanged()", self._show_state)
        ui.add.connect("clicked()", self.add_case)
        ui.remove.connect("clicked()", self.remove_cases)
        ui.propose.connect("clicked()", self.propose)
        ui.train.connect("clicked()", self.train)
        self._delete_key = qt.QShortcut(ui.pairs)
        self._delete_key.setKey(qt.QKeySequence("Del"))
        self._delete_key.setContext(qt.Qt.WidgetShortcut)
        self._delete_key.connect("activated()", self.remove_cases)
        self.refresh()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The cases in the list."""
        return tuple(self._pairs)

    def refresh(self) -> None:
        """Show the models there are, and drop cases whose nodes have left the scene."""
        scene = self._parameters.scene
        if self._scene is not scene:
            self._scene = scene
            self._ui.volume.setMRMLScene(scene)
            self._ui.segmentation.setMRMLScene(scene)
        here = [pair for pair in self._pairs if self._is_here(pair.volume) and self._is_here(pair.segmentation)]
        if len(here) < len(self._pairs):
            self._show_pairs(here)
        choices = start_choices(self._bundles(), self._model())
        if choices != self._choices:
            self._fill_start(choices)
        self._show_state()

    def propose(self) -> None:
        """Fill the list with what surely belongs together."""
        self._show_pairs(propose_pairs(self._parameters.scene))
        found = _("No segmentation in the scene surely belongs to a volume; choose both and press Add case.")
        self._say("" if self._pairs else found)

    def add_case(self) -> None:
        """Put the chosen volume and segmentation into the list."""
        volume, segmentation = self._ui.volume.currentNode(), self._ui.segmentation.currentNode()
        if volume is None or segmentation is None:
            self._say(_("Choose a volume and its segmentation."))
            return
        rest = [pair for pair in self._pairs if pair.volume is not volume and pair.segmentation is not segmentation]
        self._show_pairs([*rest, Pair(volume, segmentation)])
        self._say("")

    def remove_cases(self) -> None:
        """Take the chosen lines out of the list."""
        table = self._ui.pairs
        self._show_pairs([pair for line, pair in enumerate(self._pairs) if not table.item(line, 0).isSelected()])

    def train(self) -> None:
        """Look at all cases, one a turn of the event loop, then queue the training; what is wrong is said."""
        if self._is_training or self._task.kind:  # pressed again while something lets events through
            return
        self._is_training = True
        try:
            order = self._order()
            if self._installer is not None:
                self._installer.ensure()
                order = self._order()  # an installation lets events through, and the list may be another one now
            self._look_at(order)
        except (MedSegError, OSError) as error:
            self._say(str(error))
        finally:
            self._is_training = False

    def clear(self) -> None:
        """Let go of the scene's nodes: it is being closed."""
        self._task.stop()
        self._show_pairs([])

    def close(self) -> None:
        """Let go of the scene."""
        self.clear()
        self._ui.volume.setMRMLScene(None)
        self._ui.segmentation.setMRMLScene(None)

    def _order(self) -> TrainingOrder:
        title = str(self._ui.name.text)
        bundles = self._bundles()
        output = model_folder(title, bundles)
        orders = [row.order for row in self._jobs.rows if not (row.has_ended or row.is_stopping)]
        if any(isinstance(order, TrainingOrder) and order.output == output for order in orders):
            msg = _("A training with this name is in the queue; wait for it, cancel it there, or choose another name")
            raise JobError(msg)
        start, network = chosen_start(str(selected(self._ui.start)), bundles)
        dataset = None
        if not self._is_scene:
            path = str(self._ui.folder.currentPath).strip()
            if not path:
                msg = _("Choose the folder of the cases.")
                raise JobError(msg)
            dataset = Path(path)
            describe_dataset(dataset)
        return make_training_order(
            self._pairs if self._is_scene else (),
            dataset=dataset,
            title=title.strip(),
            output=output,
            start=start,
            network=network,
            seconds=int(self._ui.minutes.value) * _MINUTE,
            device=self._parameters.settings.device,
        )

    def _look_at(self, order: TrainingOrder) -> None:
        pairs = self._pairs if order.dataset is None else []

        def queue() -> None:
            self._jobs.add(order)
            text = _("The training is in the queue; the section Queue and the line under Apply say how far it is.")
            self._say(text)

        self._task.begin(
            "check",
            lambda: check_steps(pairs, labels_of(pairs)) if pairs else iter(()),
            lambda _name: None,
            queue,
            progress=_("Looking at the cases: {done} of {total}"),
            total=len(pairs),
            stopped=_("Stopped; nothing was queued."),
        )

    @property
    def _is_scene(self) -> bool:
        return bool(selected(self._ui.source) == _SCENE)

    def _is_here(self, node: Node) -> bool:
        return self._scene is not None and node.GetScene() is self._scene

    def _show_pairs(self, pairs: list[Pair]) -> None:
        self._pairs = list(pairs)
        table = self._ui.pairs
        table.setRowCount(len(pairs))
        for line, pair in enumerate(pairs):
            for column, node in enumerate((pair.volume, pair.segmentation)):
                set_cell(table, line, column, str(node.GetName())).setToolTip(str(node.GetName()))
        table.clearSelection()
        self._show_state()

    def _fill_start(self, choices: list[tuple[str, str]]) -> None:
        """Other models came, or another one is chosen in the panel; what was chosen here stays where it can."""
        before = selected(self._ui.start) if self._choices else None
        was_first = bool(self._choices) and before == self._choices[0][1]
        self._choices = choices
        set_choices(self._ui.start, choices)
        values = [value for _text, value in choices]
        if before in values and not was_first:
            self._ui.start.setCurrentIndex(values.index(before))

    def _show_state(self) -> None:
        ui = self._ui
        for part in (ui.folder, ui.folderLabel):
            part.setVisible(not self._is_scene)
        ui.sceneCases.setVisible(self._is_scene)
        ui.remove.setEnabled(any(ui.pairs.item(line, 0).isSelected() for line in range(len(self._pairs))))
        show_text(ui.words, held_out_words(len(self._pairs)) if self._is_scene else "")
        ui.train.setEnabled(not self._task.kind)

    def _say(self, text: Any) -> None:
        show_text(self._ui.note, text)

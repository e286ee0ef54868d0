"""The panel: choices become orders, the queue does them, the answers become segments."""

from collections.abc import Callable

from medseg.bundles.catalogue import Bundle, catalogue
from medseg.desktop.console.waiting import later
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.device_list import DeviceList
from medseg.desktop.install.engine_offer import EngineOffer
from medseg.desktop.panel.binding import Binding
from medseg.desktop.panel.inputs_view import InputsView
from medseg.desktop.panel.log_book import LogBook
from medseg.desktop.panel.model_picker import ModelPicker
from medseg.desktop.panel.output_view import OutputView
from medseg.desktop.panel.section_stack import Section, SectionStack
from medseg.desktop.panel.sections.diagnostics import DiagnosticsSection
from medseg.desktop.panel.sections.performance import PerformanceSection
from medseg.desktop.panel.sections.postprocessing import PostprocessingSection
from medseg.desktop.panel.sections.probabilities import ProbabilitiesSection
from medseg.desktop.panel.sections.queue import QueueSection
from medseg.desktop.panel.sections.region import RegionSection
from medseg.desktop.panel.sections.results import ResultsView
from medseg.desktop.panel.sections.training import TrainingSection
from medseg.desktop.panel.status_view import StatusView
from medseg.desktop.panel.support import collect_versions, support_report
from medseg.desktop.panel.ui import load_ui
from medseg.desktop.queue.job_queue import JobQueue, Row, State
from medseg.desktop.queue.orders import make_orders, orders_for_all
from medseg.desktop.queue.runs import land_run, prepare_run
from medseg.desktop.queue.time_points import drop_empty_outputs
from medseg.desktop.scene.cases import left_out
from medseg.desktop.scene.deferred_volumes import DeferredVolumes
from medseg.desktop.scene.node_names import NodeNames
from medseg.desktop.scene.undo_stack import UndoStack, run_name
from medseg.desktop.state.order import Order, TrainingOrder
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.settings import setting_texts
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node
from medseg.mrml.sequences import sequence_of
from medseg.spec.errors import MedSegError


class Panel:
    """What a user sees of the module.

    Args:
        scene: the MRML scene.
        make_process: given who hears events and log lines, makes the process that computes.
        preferences: what belongs to the computer and not to the scene; None: forgotten with the panel.
        gate: opened on Apply, before anything else, to install what is missing; None: nothing is.
        training_gate: the same for what a training needs beside that.
        versions: of Slicer and of this program, written beside each result.
        find_models: gives the installed models by their ids.
    """

    def __init__(
        self,
        scene: Node,
        make_process: MakeProcess,
        *,
        preferences: Preferences | None = None,
        gate: DependencyInstaller | None = None,
        training_gate: DependencyInstaller | None = None,
        versions: dict[str, str] | None = None,
        find_models: Callable[[], dict[str, Bundle]] = catalogue,
    ) -> None:
        self.preferences = preferences or Preferences()
        self.log = LogBook()
        self.parameters = Parameters(scene)
        self._gate, self._training_gate = gate, training_gate
        self._versions = versions or {}
        self._find_models, self._bundles = find_models, find_models()
        self._model_shown: str | None = None
        self._undo = UndoStack()
        self._is_ordering = False
        self._node_names = NodeNames()  # of this session: what the log says of them is not sent
        self.queue = JobQueue(
            make_process,
            lambda order, folder: prepare_run(self.parameters.scene, order, folder),
            lambda run, finished: land_run(self.parameters.scene, run, finished, self._versions, self._arrivals.bring),
            self._queue_changed,
            self.log.add,
            on_end=self._ended,
            on_described=lambda event: self._devices.heard(event),
            later=later,
        )
        self._arrivals = DeferredVolumes(lambda: self.sections.refresh(self.probabilities), self.say)
        self.widget, self.names = load_ui("Panel")
        self.status = StatusView(self.names, self.parameters, self.preferences)
        self._build()
        self._connect()
        self.set_scene(scene)

    def current_model(self) -> Bundle | None:
        """The model that is chosen; None where it is not installed."""
        return self.picker.current

    def current_volume(self) -> Node:
        """The volume of the first channel; None where none is chosen."""
        return self.parameters.inputs(1)[0]

    def set_scene(self, scene: Node) -> None:
        """Show the nodes of a scene; also call when it was closed or another was loaded, with the same scene."""
        self.parameters.attach(scene)
        self.output.set_scene(scene)
        self.inputs.set_scene(scene)
        self.results.set_scene(scene)
        self._model_shown = None
        self.refresh()

    def leave_scene(self) -> None:
        """Let go of all that belongs to the scene, which is being closed; what runs is stopped and never shown.

        The next scene gives the same ids to other nodes.
        """
        self._node_names.collect(self.parameters.scene)
        self.queue.leave_scene()
        self._arrivals.stop()
        self._undo.clear()
        self.training.clear()
        self.results.clear()
        self.parameters.detach()
        self.refresh()

    def close(self) -> None:
        """End the worker, remove what it left and let go of the scene: after a reload these widgets still exist."""
        self.results.stop()
        self._arrivals.stop()
        self._undo.clear()
        self.region.close()
        self.training.close()
        self.queue.close()
        drop_empty_outputs(self.parameters.scene, self.queue.rows, self.queue.rows)
        self.parameters.detach()
        for part in (self.output, self.inputs, self.results):
            part.set_scene(None)

    def apply(self) -> None:
        """Queue a job with what the controls hold; what is wrong with it is said in the status line."""
        self._order(make_orders)

    def apply_to_all(self) -> None:
        """Queue a job for every volume of the scene, or each set of channels; what is left out is said."""
        bundle = self.current_model()
        self._order(orders_for_all, "" if bundle is None else left_out(self.parameters.scene, bundle))

    def cancel(self) -> None:
        """Stop the job that is under way, with the other time points of its sequence."""
        if self.queue.current is not None:
            self.queue.cancel_run(self.queue.current)

    def refresh(self) -> None:
        """Show what is chosen, and enable what can be done now."""
        bundle, settings = self.current_model(), self.parameters.settings
        self.picker.refresh()
        if bundle is not None and bundle.manifest.model_id != self._model_shown:
            self._model_shown = bundle.manifest.model_id
            self.inputs.set_model(bundle)
        self.inputs.refresh()
        self._binding.refresh()
        self.output.refresh()
        self.results.refresh()
        self.sections.refresh()
        self.status.forecast(bundle, self._devices.known)
        volume = self.current_volume()
        self.names.allTimePoints.setVisible(
            settings.all_time_points or (volume is not None and sequence_of(self.parameters.scene, volume) is not None)
        )
        self._show_state()

    def _build(self) -> None:
        names, parameters = self.names, self.parameters
        self.output = OutputView(parameters, names)
        self.inputs = InputsView(parameters)
        self.picker = ModelPicker(parameters, lambda: self._bundles)
        self.results = ResultsView(
            parameters,
            undo=self._undo,
            may_undo=lambda: not self.queue.is_busy,
            on_undo=self._undone,
            on_node=lambda: self.sections.refresh(),
        )
        self.region = RegionSection(parameters, self.current_volume)
        offer = EngineOffer(self.preferences, self._gate)
        self._devices = DeviceList(
            self.queue.describe, self._gate, self.say, lambda devices: self.performance.show_devices(devices)
        )
        self.performance = PerformanceSection(parameters, self.current_model, self._devices.ask, offer)
        self.probabilities = ProbabilitiesSection(parameters, lambda: self.results.node)
        self.jobs = QueueSection(parameters, self.queue, self.apply_to_all)
        check = None if self._gate is None else self._gate.state
        self.diagnostics = DiagnosticsSection(self.preferences, self.log, check, self._support)
        cleaning = PostprocessingSection(parameters, self.current_model)
        self.training = TrainingSection(
            parameters, lambda: self._bundles, self.current_model, self.queue, self._training_gate
        )
        parts: list[Section] = [self.region, self.performance, cleaning, self.probabilities, self.training]
        self.sections = SectionStack([*parts, self.jobs, self.diagnostics])
        for place, part in (("inputs", self.inputs), ("model", self.picker), ("result", self.results)):
            getattr(names, f"{place}Place").layout().addWidget(part.widget)
        names.sectionsPlace.layout().addWidget(self.sections.widget)
        self.sections.when_first_opened(self.training, self.training.propose)
        self.sections.when_first_opened(
            self.performance, lambda: self.performance.look() if self._devices.can_be_asked else None
        )

    def _connect(self) -> None:
        names = self.names
        self._binding = Binding(self.parameters)
        self._binding.tick(names.allTimePoints, "all_time_points")
        names.apply.connect("clicked()", self.apply)
        names.cancel.connect("clicked()", self.cancel)
        self.parameters.listen(self.refresh)
        self.preferences.listen(self.refresh)

    def _order(self, make: Callable[[Parameters, Bundle], list[Order]], note: str = "") -> None:
        if self._is_ordering:  # pressed again while an installation lets events through
            return
        bundle = self.current_model()
        if bundle is None:
            self.say(_("No model is installed."))
            return
        self._is_ordering = True
        self._node_names.collect(self.parameters.scene)
        self.status.note(note)
        self.say(_("Starting..."))
        self.names.status.repaint()  # copying and writing the volume keeps the window busy for a moment
        try:
            if self._gate is not None:
                self._gate.open()
            orders = make(self.parameters, bundle)
            self.say("" if orders or note else _("The scene holds no volumes for this model."))
            for order in orders:
                self.queue.add(order)
        except (MedSegError, OSError) as error:
            self.say(str(error))
        finally:
            self._is_ordering = False

    def _ended(self, row: Row) -> None:
        """Show the result of a row that has ended, and remember how long a window took."""
        self.status.remember(row)
        self._node_names.collect(self.parameters.scene)
        drop_empty_outputs(self.parameters.scene, [row], self.queue.rows)
        if row.state is State.DONE and row.landing is not None and row.landing.node is not None:
            if row.landing.step is not None:
                self._undo.push(row.landing.step, run_name(row.order))
            self.results.show(row.landing.node)
        if isinstance(row.order, TrainingOrder):  # also when it was cancelled the moment it had ended
            self._bundles = self._find_models()
            self.picker.reload()
            self.refresh()
        self.status.forecast(self.current_model(), self._devices.known)
        self.say("\n".join([row.details or row.message, *row.warnings]))

    def _undone(self, text: str) -> None:
        self.say(text)
        self.refresh()

    def _queue_changed(self) -> None:
        """Comes with every step of a job: what no job changes is left alone."""
        if self.queue.current is not None:
            self.say(self.queue.current.message)
        self.sections.refresh(self.jobs)
        self.results.refresh()
        self._show_state()

    def _show_state(self) -> None:
        """What depends on the queue: buttons and progress."""
        self.status.show(self.current_model(), self.queue.current)

    def _support(self) -> str:
        self._node_names.collect(self.parameters.scene)
        return support_report(
            collect_versions(self._versions),
            self.preferences,
            self.log.text(),
            settings=setting_texts(self.parameters.settings),
            devices=self._devices.known,
            packages="" if self._gate is None else self._gate.state(),
            hide=self._node_names.hide,
        )

    def say(self, text: str) -> None:
        """Show a text in the status line; an empty one hides it."""
        self.status.say(text)

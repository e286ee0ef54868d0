"""The panel: choices become orders, the queue does them, the answers become segments."""

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.choices import Choices
from medseg.desktop.panel.controls import align, load_ui
from medseg.desktop.panel.models import FindModels, Models
from medseg.desktop.panel.ordering import Ordering
from medseg.desktop.panel.section_stack import Sections
from medseg.desktop.panel.sections.results import ResultsView
from medseg.desktop.panel.session import Session
from medseg.desktop.panel.status_view import StatusView
from medseg.desktop.queue.scene_queue import Row, SceneQueue
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node


class Panel:
    """What a user sees of the module.

    Args:
        scene: the MRML scene.
        make_process: given who hears events and log lines, makes the process that computes.
        preferences: what belongs to the computer and not to the scene; None: forgotten with the panel.
        installer: installs what is missing on Apply, before anything else; None: nothing is installed.
        training_installer: the same for what a training needs beside that.
        versions: of Slicer and of this program, written beside each result.
        find_models: gives the models that are not shared, by their ids; None: the program's and the user's.
    """

    def __init__(
        self,
        scene: Node,
        make_process: MakeProcess,
        *,
        preferences: Preferences | None = None,
        installer: DependencyInstaller | None = None,
        training_installer: DependencyInstaller | None = None,
        versions: dict[str, str] | None = None,
        find_models: FindModels | None = None,
    ) -> None:
        self.preferences = preferences or Preferences()
        self.parameters = parameters = Parameters(scene)
        self.models = Models(self.preferences, find_models, lambda: self._models_changed())
        self._session = Session(parameters, self.preferences, versions or {})
        self.log = self._session.log
        self.queue = SceneQueue(
            parameters,
            make_process,
            versions or {},
            on_change=self._queue_changed,
            on_log=self.log.add,
            on_described=lambda event: self.sections.performance.show_devices(event.devices),
            on_result=lambda node: self.results.present(node),
            on_model=self._models_changed,
            on_volume=lambda: self.sections.refresh(self.sections.probabilities),
            on_end=self._ended,
            say=self.say,
        )
        self.widget, self.names = load_ui("Panel")
        self.status = StatusView(self.names, parameters, self.preferences)
        self.choices = Choices(
            parameters, self.names, lambda: self.models.bundles, lambda node: self.results.follow(node), self.say
        )
        self.current_model = self.choices.current_model
        self._ordering = Ordering(parameters, self.current_model, self.queue, self.status, installer)
        self.results = ResultsView(
            parameters,
            undo=self.queue.undo,
            may_undo=lambda: not self.queue.is_busy,
            on_undo=self._undone,
            on_node=lambda: self.sections.refresh(),
            make_process=make_process,
            installer=installer,
        )
        self.sections = Sections(
            parameters,
            self.preferences,
            self.queue,
            self._session,
            installer=installer,
            training_installer=training_installer,
            models=self.models,
            current_model=self.current_model,
            current_segmentation=lambda: self.results.node,
            order_all=self.apply_to_all,
            say=self.say,
            on_models=lambda: self._models_changed(),
            on_region=self._show_forecast,
        )
        self.names.resultPlace.layout().addWidget(self.results.widget)
        self.names.sectionsPlace.layout().addWidget(self.sections.widget)
        self.names.apply.connect("clicked()", self.apply)
        self.names.cancel.connect("clicked()", self.cancel)
        parameters.listen(self.refresh)
        self.preferences.listen(self.refresh)
        self.set_scene(scene)

    def set_scene(self, scene: Node) -> None:
        """Show the nodes of a scene; also call when it was closed or another was loaded, with the same scene."""
        self.parameters.attach(scene)
        self.choices.set_scene(scene)
        self.results.set_scene(scene)
        self.refresh()

    def leave_scene(self) -> None:
        """Let go of all that belongs to the scene, which is being closed; what runs is stopped and never shown.

        The next scene gives the same ids to other nodes.
        """
        self._session.collect_names()
        self.queue.leave_scene()
        self.sections.training.clear()
        self.results.clear()
        self.parameters.detach()
        self.status.note("")
        self.say("")  # it was about the scene
        self.refresh()

    def enter(self) -> None:
        """Show what came while the user was elsewhere in Slicer; call when the module is opened again."""
        self.results.enter()

    def close(self) -> None:
        """End the worker, remove what it left and let go of the scene: after a reload these widgets still exist."""
        self.models.stop()
        self.results.stop()
        self.sections.close()
        self.queue.close()
        self.parameters.detach()
        self.choices.set_scene(None)
        self.results.set_scene(None)

    def apply(self) -> None:
        """Queue a job with what the controls hold; what is wrong with it is said in the status line."""
        self._session.collect_names()
        self._ordering.order()

    def apply_to_all(self) -> None:
        """Queue a job for every volume of the scene, or each set of channels; what is left out is said."""
        self._session.collect_names()
        self._ordering.order_all()

    def cancel(self) -> None:
        """Stop the job that is under way, with the other time points of its sequence."""
        if self.queue.current is not None:
            self.queue.cancel_run(self.queue.current)

    def refresh(self) -> None:
        """Show what is chosen, and enable what can be done now."""
        self.choices.refresh()
        self.results.refresh()
        self.sections.refresh()
        align([*self.choices.labels, *self.results.labels])
        self._show_forecast()
        self._show_state()

    def say(self, text: str) -> None:
        """Show a text in the status line; an empty one hides it."""
        self.status.say(text)

    def _ended(self, row: Row) -> None:
        """Say what became of a row, and remember how long a window took."""
        self.status.remember(row)
        self._session.collect_names()
        self._show_forecast()
        self.sections.refresh(self.sections.region)
        self.say("\n".join([row.details or row.message, *row.warnings]))

    def _models_changed(self) -> None:
        self.models.reload()
        self.choices.picker.reload()
        self.refresh()

    def _undone(self, text: str) -> None:
        self.say(text)
        self.refresh()

    def _queue_changed(self) -> None:
        """Comes with every step of a job: what no job changes is left alone."""
        if self.queue.current is not None:
            self.say(self.queue.current.message)
        self.sections.refresh(self.sections.jobs)
        self.results.refresh()
        self._show_state()

    def _show_forecast(self) -> None:
        self.status.forecast(self.current_model(), self.sections.performance.known_devices, is_warm=self.queue.is_warm)

    def _show_state(self) -> None:
        """What depends on the queue: buttons and progress."""
        self.status.show(self.current_model(), self.queue.current)

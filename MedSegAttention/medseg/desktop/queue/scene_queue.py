"""The queue of a scene: volumes are read when their turn comes, results go into the scene and can be undone."""

from collections.abc import Callable, Iterable
from pathlib import Path

from medseg.bundles.digest import begin_digest
from medseg.desktop.queue.import_run import ImportRun, import_model_result, prepare_import
from medseg.desktop.queue.job_queue import AnyRun, JobQueue, Preparing
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.queue.orders import prepare
from medseg.desktop.queue.training_run import TrainingRun, import_training_result, prepare_training
from medseg.desktop.scene.importing import ImportedResult, import_result
from medseg.desktop.scene.probability_volumes import DeferredVolumes, ProbabilityVolumes
from medseg.desktop.scene.undo import UndoStack, run_name
from medseg.desktop.state.order import AnyOrder, ImportOrder, TrainingOrder
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.steps import later
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node
from medseg.mrml.sequences import remove_if_empty
from medseg.spec.events import Described, Finished

__all__ = ["Row", "SceneQueue", "import_run", "prepare_run"]


class SceneQueue(JobQueue):
    """The rows of the panel, and what is left of them when they have ended.

    Args:
        parameters: hold the scene.
        make_process: as for ``JobQueue``, and so the others that are not named here.
        versions: of Slicer and of this program, written beside each result.
        on_change: called after every change of any row.
        on_log: hears the log.
        on_described: hears which devices the worker has.
        on_result: hears each segmentation that shows a result.
        on_model: called when a training or an import has ended, also when it was cancelled: there may be a new model.
        on_volume: called when a volume of probabilities has come.
        on_end: hears each row that has ended, after all of these.
        say: hears why a volume of probabilities could not be shown.
    """

    def __init__(
        self,
        parameters: Parameters,
        make_process: MakeProcess,
        versions: dict[str, str],
        *,
        on_change: Callable[[], None],
        on_log: Callable[[str], None],
        on_described: Callable[[Described], None],
        on_result: Callable[[Node], None],
        on_model: Callable[[], None],
        on_volume: Callable[[], None],
        on_end: Callable[[Row], None],
        say: Callable[[str], None],
    ) -> None:
        self.undo = UndoStack()
        self._parameters = parameters
        self._on_result, self._on_model, self._tell_end = on_result, on_model, on_end
        self._deferred = DeferredVolumes(on_volume, say)
        super().__init__(
            make_process,
            lambda order, folder: prepare_run(parameters.scene, order, folder),
            lambda run, finished: import_run(parameters.scene, run, finished, versions, self._deferred.bring),
            on_change,
            on_log,
            on_end=self._row_ended,
            on_described=on_described,
            later=later,
        )

    @property
    def is_warm(self) -> bool:
        """Whether a worker is there already, with all it needs in memory."""
        return getattr(self._process, "pid", None) is not None

    def running(self) -> str:
        """A sentence about what would be lost if Slicer were closed now; empty where nothing would."""
        waiting = [row for row in self.rows if not row.has_ended]
        if not waiting:
            return ""
        return _("MedSegAttention is at work: {count} in the queue.").format(count=len(waiting))

    def leave_scene(self) -> None:
        """As ``JobQueue.leave_scene``; what was done in the scene can no longer be undone."""
        super().leave_scene()
        self._deferred.stop()
        self.undo.clear()

    def close(self) -> None:
        """As ``JobQueue.close``; no sequence stays that waits for time points."""
        self._deferred.stop()
        self.undo.clear()
        super().close()
        self._drop_empty_outputs(self.rows)

    def _row_ended(self, row: Row) -> None:
        self._drop_empty_outputs([row])
        if row.state is not State.FAILED:  # of a failure the log knows all already
            self._on_log(f"{run_name(row.order)}: {row.message}")
        if row.state is State.DONE and row.result is not None and row.result.node is not None:
            if row.result.step is not None:
                self.undo.push(row.result.step, run_name(row.order))
            self._on_result(row.result.node)
        if isinstance(row.order, TrainingOrder | ImportOrder):
            self._on_model()
        self._tell_end(row)

    def _drop_empty_outputs(self, ended: Iterable[Row]) -> None:
        """Remove the output sequences of rows that have ended, where no time point brought anything and none will."""
        scene = self._parameters.scene
        awaited = {_output_id(row) for row in self.rows if not row.has_ended}
        for output_id in {_output_id(row) for row in ended if not row.is_stale} - awaited - {None}:
            remove_if_empty(scene, scene.GetNodeByID(output_id))


def prepare_run(scene: Node, order: AnyOrder, folder: Path) -> AnyRun | Preparing:
    """Write what an order needs; see ``orders.prepare`` and, in steps, ``training_run.prepare_training``."""
    if isinstance(order, TrainingOrder):
        return prepare_training(scene, order, folder)
    if isinstance(order, ImportOrder):
        return prepare_import(order, folder)
    begin_digest(order.bundle)  # written on the result: a file of 1 GB takes a second
    return prepare(scene, order, folder)


def import_run(
    scene: Node,
    run: AnyRun,
    finished: Finished,
    versions: dict[str, str],
    bring: Callable[[ProbabilityVolumes], None] | None = None,
) -> ImportedResult:
    """Show a result; see ``scene.importing.import_result`` and ``training_run.import_training_result``."""
    if isinstance(run, TrainingRun):
        return import_training_result(finished)
    if isinstance(run, ImportRun):
        return import_model_result(finished)
    return import_result(scene, run, finished, versions, bring=bring)


def _output_id(row: Row) -> str | None:
    return None if row.order.time_point is None else row.order.time_point.output_id

"""An order of any kind -> its run, and a run that has ended -> what is shown of it."""

from collections.abc import Callable
from pathlib import Path

from medseg.bundles.digest import begin_digest
from medseg.desktop.queue.orders import prepare
from medseg.desktop.queue.preparing import AnyRun, Preparing
from medseg.desktop.queue.training_run import TrainingRun, land_training, prepare_training
from medseg.desktop.scene.importing import ImportedResult, import_result
from medseg.desktop.scene.probability_volumes import ProbabilityVolumes
from medseg.desktop.state.order import AnyOrder, TrainingOrder
from medseg.mrml.grids import Node
from medseg.spec.events import Finished


def prepare_run(scene: Node, order: AnyOrder, folder: Path) -> AnyRun | Preparing:
    """Write what an order needs; see ``orders.prepare`` and, in steps, ``training_run.prepare_training``."""
    if isinstance(order, TrainingOrder):
        return prepare_training(scene, order, folder)
    begin_digest(order.bundle)  # written on the result: a file of 1 GB takes a second
    return prepare(scene, order, folder)


def land_run(
    scene: Node,
    run: AnyRun,
    finished: Finished,
    versions: dict[str, str],
    bring: Callable[[ProbabilityVolumes], None] | None = None,
) -> ImportedResult:
    """Show a result; see ``scene.importing.import_result`` and ``training_run.land_training``."""
    if isinstance(run, TrainingRun):
        return land_training(finished)
    return import_result(scene, run, finished, versions, bring=bring)

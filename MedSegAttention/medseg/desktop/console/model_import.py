"""A model from elsewhere, imported from the Python console or a script: the same order as the panel's. No Qt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import catalogue
from medseg.cli import flag_values
from medseg.desktop.console.segmenting import ConsoleCall
from medseg.desktop.queue.import_run import make_import_order
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.state.order import ImportOrder
from medseg.desktop.worker.job_process import MakeProcess
from medseg.spec.import_job import Choices


class ImportCall(ConsoleCall):
    """A call of ``importModel``; its result is the id of the new model.

    Args:
        order: what to import.
        make_process: as for ``ConsoleCall``.
        more: as for ``ConsoleCall``.
    """

    def __init__(self, order: ImportOrder, make_process: MakeProcess, **more: Any) -> None:
        super().__init__(None, make_process, versions={}, **more)
        self._order = order

    def start(self) -> None:
        """Begin."""
        self._queue.add(self._order)

    def _row_ended(self, row: Row) -> None:
        self.is_done = True
        if row.state is State.DONE:
            self.result = self._order.job.choices.model_id
        else:
            self.error = row.error or RuntimeError(row.details)
        self._on_finished(self.result, self.error)


def import_order_from_call(
    source: str | Path,
    name: str,
    *,
    labels: str | Path | None = None,
    folds: Sequence[str | int] | None = None,
    **more: Any,
) -> ImportOrder:
    """What a call asks for.

    Args:
        source: folder, ZIP archive or file of weights.
        name: of the new model.
        labels: names of the segments with commas, or a JSON file.
        folds: of nnU-Net; None: all that were trained.
        more: ``configuration``, ``task``, ``network`` and ``arguments`` of ``ImportJob``.

    Raises:
        MedSegError: if there is no name, or a model has it; it is kept.
    """
    choices = Choices(model_id="new", labels=flag_values.read_labels(None if labels is None else str(labels)))
    chosen = None if folds is None else tuple(str(fold) for fold in folds)
    return make_import_order(Path(source).expanduser(), name, choices, catalogue(), folds=chosen, **more)

"""A call from the console that makes one model: a training or an import. No Qt."""

from typing import Any

from medseg.desktop.console.segmenting import ConsoleCall
from medseg.desktop.queue.job_row import Row, State
from medseg.desktop.state.order import AnyOrder
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node


class OrderCall(ConsoleCall):
    """A call of ``train`` or ``importModel``; its result is the id of the new model.

    Args:
        scene: of the cases; None where nothing of it is needed.
        order: what to do.
        model_id: of the new model.
        make_process: as for ``ConsoleCall``.
        more: as for ``ConsoleCall``.
    """

    def __init__(self, scene: Node, order: AnyOrder, model_id: str, make_process: MakeProcess, **more: Any) -> None:
        super().__init__(scene, make_process, versions={}, **more)
        self._order, self._model_id = order, model_id

    def start(self) -> None:
        """Begin."""
        self._queue.add(self._order)

    def _row_ended(self, row: Row) -> None:
        self.is_done = True
        if row.state is State.DONE:
            self.result = self._model_id
        else:
            self.error = row.error or RuntimeError(row.details)
        self._on_finished(self.result, self.error)

"""Training from the Python console or a script: the same orders, in the same queue, as the panel's section. No Qt."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from medseg.bundles.catalogue import catalogue, find_bundle
from medseg.desktop.queue.job_queue import JobQueue, Row, State
from medseg.desktop.queue.runs import land_run, prepare_run
from medseg.desktop.queue.training_choices import model_folder
from medseg.desktop.queue.training_run import make_training_order
from medseg.desktop.state.order import TrainingOrder
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess, also_heard, call_now
from medseg.io.dataset import describe_dataset
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import Pair, check_steps, labels_of
from medseg.spec.errors import JobError
from medseg.spec.events import Event

OnTrained: TypeAlias = Callable[[Any, Exception | None], None]
"""Hears the id of the new model and None, or None and what went wrong."""
Cases: TypeAlias = str | Path | Sequence[tuple[Node, Node]]


class TrainingCall:
    """A call of ``train`` under way; ``cancel`` stops it.

    Attributes:
        model: id of the new model when it has ended well.
        error: the exception when it has not.
        is_done: whether it has ended.

    Args:
        scene: of the cases; None where they are files.
        order: what to train.
        make_process: as for ``JobQueue``.
        on_event: hears the worker's events.
        on_finished: hears of the end, once.
        later: as for ``JobQueue``.
    """

    def __init__(
        self,
        scene: Node,
        order: TrainingOrder,
        make_process: MakeProcess,
        *,
        on_event: Callable[[Event], None],
        on_finished: OnTrained = lambda _model, _error: None,
        later: Callable[[Callable[[], None]], None] = call_now,
    ) -> None:
        self.model: str | None = None
        self.error: Exception | None = None
        self.is_done = False
        self._order, self._on_finished = order, on_finished
        self._queue = JobQueue(
            also_heard(make_process, on_event),
            partial(prepare_run, scene),
            lambda run, finished: land_run(scene, run, finished, {}),
            on_log=logging.info,
            on_end=self._ended,
            later=later,
        )

    def start(self) -> None:
        """Begin."""
        self._queue.add(self._order)

    def cancel(self) -> None:
        """Stop it; ``on_finished`` hears of it as ``Cancelled``. The same call goes on where it was."""
        self._queue.cancel_all()

    def close(self) -> None:
        """End the worker, and remove the cases that were written."""
        self._queue.close()

    def _ended(self, row: Row) -> None:
        self.is_done = True
        if row.state is State.DONE:
            self.model = self._order.output.name
        else:
            self.error = row.error or RuntimeError(row.details)
        self._on_finished(self.model, self.error)


def order_from_call(
    cases: Cases,
    name: str,
    *,
    start: str | None,
    network: str | None,
    minutes: float,
    steps: int | None,
    device: str,
) -> tuple[Node, TrainingOrder]:
    """What a call asks for, with every case looked at.

    Args:
        cases: pairs of a volume and a segmentation node, or a folder of labelled cases.
        name: of the new model.
        start: id of the model to begin with.
        network: or a network from nothing, see ``medseg networks``.
        minutes: how long it may train.
        steps: or how many steps.
        device: where.

    Returns:
        The scene of the cases, None where they are files, and the order.

    Raises:
        MedSegError: says what is wrong, and with which node.
    """
    output = model_folder(name, catalogue())
    bundle = None if start is None else find_bundle(start)
    pairs: tuple[Pair, ...] = ()
    dataset = None
    if isinstance(cases, str | Path):
        dataset = Path(cases)
        describe_dataset(dataset)
    else:
        pairs = tuple(_pair(each) for each in cases)
    order = make_training_order(
        pairs,
        dataset,
        title=name,
        output=output,
        start=bundle,
        network=network,
        seconds=minutes * 60,
        steps=steps,
        device=device,
    )
    if pairs:
        for _name in check_steps(pairs, labels_of(pairs)):
            pass
    return (pairs[0].volume.GetScene() if pairs else None), order


def wait_for(call: TrainingCall) -> str | None:
    """Wait for a call that was made with ``BlockingProcess``.

    Returns:
        Id of the new model.

    Raises:
        MedSegError: something the caller can mend, or it was cancelled.
        RuntimeError: the worker crashed.
    """
    try:
        call.start()
    finally:
        call.close()
    if call.error is not None:
        raise call.error
    return call.model


def _pair(nodes: tuple[Node, Node]) -> Pair:
    try:
        volume, segmentation = nodes
    except (TypeError, ValueError):
        volume = segmentation = None
    are_nodes = hasattr(volume, "IsA") and hasattr(segmentation, "IsA")
    if not are_nodes or not (volume.IsA("vtkMRMLVolumeNode") and segmentation.IsA("vtkMRMLSegmentationNode")):
        msg = _("a case is (volume node, segmentation node), both in the scene, got {nodes}; name both")
        raise JobError(msg.format(nodes=repr(nodes)))
    if volume.GetScene() is None or volume.GetScene() is not segmentation.GetScene():
        msg = _("both nodes of a case are in one scene, got {volume} and {segmentation}; add them to it")
        raise JobError(msg.format(volume=repr(volume.GetName()), segmentation=repr(segmentation.GetName())))
    return Pair(volume, segmentation)

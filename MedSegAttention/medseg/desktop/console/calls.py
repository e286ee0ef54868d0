"""The methods of the module's logic, for the Python console: what they are given becomes a run, waited for or not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from medseg.desktop.console.orders import make_console_orders, make_settings
from medseg.desktop.console.python import ready_python
from medseg.desktop.console.segmenting import BlockingProcess, ConsoleRun, run_and_show
from medseg.desktop.console.training import Cases, TrainingCall, order_from_call, wait_for
from medseg.desktop.install.requirements import training_requirements
from medseg.mrml.grids import Node
from medseg.spec.events import Event


def segment_nodes(
    volumes: list[Node],
    model: str,
    target: Node,
    *,
    requirements: Path,
    versions: dict[str, str],
    wait: bool,
    on_finished: Callable[[Any, Exception | None], None] | None,
    on_event: Callable[[Event], None],
    python: str | None,
    **options: Any,
) -> Any:
    """See ``MedSegAttentionLogic.segment``, which raises what this raises.

    Args:
        volumes: one a channel.
        model: id of a bundle.
        target: the segmentation to join; None: a new one.
        requirements: everything the worker needs but torch.
        versions: of the programs, written beside the result.
        wait: whether to come back with the result.
        on_finished: hears of the end.
        on_event: hears the worker's events.
        python: the interpreter that computes.
        options: as for ``make_settings``.
    """
    settings, roi = make_settings(**options)
    orders = make_console_orders(volumes, model, target, settings, roi)
    python = ready_python(python, requirements)
    finished = on_finished or _ignore
    if wait:
        make = partial(BlockingProcess, python=python)
        return run_and_show(ConsoleRun(orders, make, versions=versions, on_event=on_event, on_finished=finished))
    from medseg.desktop.console.waiting import run_in_background

    return run_in_background(orders, versions=versions, python=python, on_event=on_event, on_finished=finished)


def train_model(
    cases: Cases,
    name: str,
    *,
    requirements: Path,
    minutes: float,
    on_finished: Callable[[Any, Exception | None], None] | None,
    on_event: Callable[[Event], None],
    wait: bool = True,
    start: str | None = None,
    network: str | None = None,
    steps: int | None = None,
    device: str = "auto",
    python: str | None = None,
) -> Any:
    """See ``MedSegAttentionLogic.train``, which raises what this raises.

    Args:
        cases: pairs of nodes, or a folder.
        name: of the new model.
        requirements: everything the worker that segments needs but torch; what a training needs lies beside it.
        minutes: how long it may train.
        on_finished: hears of the end.
        on_event: hears the worker's events.
        wait: whether to come back with the model's id.
        start: id of the model to begin with.
        network: or a network from nothing.
        steps: or how many steps.
        device: where.
        python: the interpreter that computes.
    """
    scene, order = order_from_call(
        cases, name, start=start, network=network, minutes=minutes, steps=steps, device=device
    )
    python = ready_python(python, training_requirements(requirements), call="ensurePackages(forTraining=True)")
    finished = on_finished or _ignore
    if wait:
        make = partial(BlockingProcess, python=python)
        return wait_for(TrainingCall(scene, order, make, on_event=on_event, on_finished=finished))
    from medseg.desktop.console.waiting import in_background, later

    return in_background(
        lambda make, told: TrainingCall(scene, order, make, on_event=on_event, on_finished=told, later=later),
        python,
        finished,
    )


def _ignore(_result: Any, _error: Exception | None) -> None:
    """Nobody wants to hear of the end."""

"""The methods of the module's logic, for the Python console: what they are given becomes a run, waited for or not."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from medseg.desktop.console.model_folders import find_model
from medseg.desktop.console.model_import import import_order_from_call
from medseg.desktop.console.order_call import OrderCall
from medseg.desktop.console.orders import make_console_orders, make_settings
from medseg.desktop.console.segmenting import BlockingProcess, ConsoleCall, OnFinished, SegmentCall
from medseg.desktop.console.training import Cases, order_from_call
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.interpreter import examine_interpreter
from medseg.desktop.install.requirements import Versions, installed_version, read_requirements, training_requirements
from medseg.desktop.state.preferences import stored_preferences
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node
from medseg.spec.errors import MissingDependency
from medseg.spec.events import Event


def segment_nodes(
    volumes: list[Node],
    model: str,
    target: Node,
    *,
    requirements: Path,
    versions: dict[str, str],
    wait: bool,
    on_finished: OnFinished | None,
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
        options: as for ``make_settings``; and ``modelFolders``, more folders of shared models.
    """
    bundle = find_model(model, options.pop("modelFolders", ()))
    settings, roi = make_settings(**options)
    orders = make_console_orders(volumes, bundle, target, settings, roi)
    python = ready_python(python, requirements)
    make = partial(SegmentCall, orders, versions=versions)
    return _call(make, python, on_event, on_finished, wait=wait)


def train_model(
    cases: Cases,
    name: str,
    *,
    requirements: Path,
    on_finished: OnFinished | None,
    on_event: Callable[[Event], None],
    wait: bool = True,
    python: str | None = None,
    **more: Any,
) -> Any:
    """See ``MedSegAttentionLogic.train``, which raises what this raises.

    Args:
        cases: pairs of nodes, or a folder.
        name: of the new model.
        requirements: everything the worker that segments needs but torch; what a training needs lies beside it.
        on_finished: hears of the end.
        on_event: hears the worker's events.
        wait: whether to come back with the model's id.
        python: the interpreter that computes.
        more: as for ``order_from_call``.
    """
    scene, order = order_from_call(cases, name, **more)
    python = ready_python(python, training_requirements(requirements), call="ensurePackages(forTraining=True)")
    return _call(partial(OrderCall, scene, order, order.output.name), python, on_event, on_finished, wait=wait)


def import_model(
    source: str | Path,
    name: str,
    *,
    requirements: Path,
    on_finished: OnFinished | None,
    on_event: Callable[[Event], None],
    wait: bool = True,
    python: str | None = None,
    **more: Any,
) -> Any:
    """See ``MedSegAttentionLogic.importModel``, which raises what this raises.

    Args:
        source: folder, ZIP archive or file of weights.
        name: of the new model.
        requirements: everything the worker needs but torch.
        on_finished: hears of the end.
        on_event: hears the worker's events.
        wait: whether to come back with the model's id.
        python: the interpreter that computes.
        more: as for ``import_order_from_call``.
    """
    order = import_order_from_call(source, name, **more)
    python = ready_python(python, requirements)
    return _call(partial(OrderCall, None, order, order.job.choices.model_id), python, on_event, on_finished, wait=wait)


def _call(
    make: Callable[..., ConsoleCall],
    python: str | None,
    on_event: Callable[[Event], None],
    on_finished: OnFinished | None,
    *,
    wait: bool,
) -> Any:
    """Wait for a call and give its result, or start it and give the call."""
    finished = on_finished or (lambda _result, _error: None)

    def begin(make_process: MakeProcess, heard: OnFinished, hear: Callable[[Event], None] = on_event) -> ConsoleCall:
        from medseg.desktop.state.steps import later

        return make(make_process, on_event=hear, on_finished=heard, later=later)

    if not wait:
        from medseg.desktop.console.waiting import in_background

        return in_background(begin, python, finished)
    process_events = _events_of_the_application()
    if process_events is None:
        return make(partial(BlockingProcess, python=python), on_event=on_event, on_finished=finished).wait()
    from medseg.desktop.console.waiting import Callbacks, in_window

    callbacks = Callbacks()  # what is raised in a slot of Qt's is only printed
    return in_window(
        partial(begin, hear=callbacks.guarded(on_event)), python, callbacks.guarded(finished), process_events, callbacks
    )


def _events_of_the_application() -> Callable[[], object] | None:
    """What lets the window live; None where there is no application, or another thread asks than that of its window."""
    try:
        import slicer
    except ImportError:
        return None
    application = getattr(slicer, "app", None)
    if application is None or threading.current_thread() is not threading.main_thread():
        return None
    return application.processEvents  # type: ignore[no-any-return]


def install_packages(requirements_file: Path, confirm: Callable[[str], bool]) -> None:
    """Install what is missing, after asking; with what the user set in the panel, as Apply does it there.

    Args:
        requirements_file: everything but torch.
        confirm: asks a question; False is no, and then nothing is installed.

    Raises:
        MissingDependency: if the user said no, something failed, or Slicer has to be restarted first.
    """
    DependencyInstaller(requirements_file, confirm, stored_preferences()).ensure()


def ready_python(
    python: str | None,
    requirements_file: Path,
    versions: Versions = installed_version,
    *,
    call: str = "ensurePackages()",
) -> str | None:
    """The interpreter that computes; nothing is installed.

    Args:
        python: that the caller named; None: the one chosen in the panel, else Slicer's own.
        requirements_file: everything but torch.
        versions: what is installed in this Python.
        call: what installs the packages.

    Returns:
        Its path; None: Slicer's own.

    Raises:
        MissingDependency: packages are missing there, or it is no Python; says what to do next.
    """
    wanted = read_requirements(requirements_file)
    chosen = python or stored_preferences().python
    if chosen is not None:
        return examine_interpreter(chosen, wanted).path
    lacking = [str(each) for each in wanted if not each.is_met_by(versions(each.name))]
    if lacking:
        msg = _(
            "Slicer's Python lacks {packages}; call {call} of the module MedSegAttention, which asks before "
            "it installs them, or name a Python that has them: python=..."
        )
        raise MissingDependency(msg.format(packages=", ".join(lacking), call=call))
    return None

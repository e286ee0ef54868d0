"""Puts the panel together for Slicer: its settings, its way to ask, its way to install, its worker process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import qt

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.requirements import training_requirements
from medseg.desktop.panel.log_book import LogBook
from medseg.desktop.panel.panel import Panel
from medseg.desktop.panel.quit_guard import QuitGuard
from medseg.desktop.panel.scene_watch import SceneWatch
from medseg.desktop.state.in_thread import InThread
from medseg.desktop.state.preferences import Preferences
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_home import remove_stale_folders
from medseg.desktop.worker.job_process import JobProcess
from medseg.desktop.worker.qt_process import QtJobProcess
from medseg.mrml.grids import Node
from medseg.spec.events import Event


def start_panel(scene: Node, requirements_file: Path, versions: dict[str, str]) -> tuple[Panel, SceneWatch]:
    """Make the panel that the module shows, and let it hear of the scene.

    Args:
        scene: Slicer's scene.
        requirements_file: what the worker needs in its Python.
        versions: of Slicer and of this program, written beside each result.
    """
    import slicer

    preferences = Preferences(qt.QSettings())
    make_installer = partial(
        DependencyInstaller,
        confirm=slicer.util.confirmYesNoDisplay,
        preferences=preferences,
        on_progress=lambda line: say(line),  # when Apply is pressed, long after the panel is there
    )
    installer, training = make_installer(requirements_file), make_installer(training_requirements(requirements_file))

    def make_process(on_event: Callable[[Event], None], on_log: Callable[[str], None]) -> JobProcess:
        return QtJobProcess(on_event, on_log, choose=lambda: (preferences.python, preferences.idle_seconds))

    panel = Panel(
        scene,
        make_process,
        preferences=preferences,
        installer=installer,
        training_installer=training,
        versions=versions,
    )

    def say(line: str) -> None:
        panel.log.add(line)
        panel.say(line)
        slicer.app.processEvents()  # the line is painted before the installation begins

    panel.say(installer.resume())
    removal = _remove_what_was_left(panel.log)
    guard = QuitGuard(slicer.util.mainWindow(), panel.queue.running, slicer.util.confirmYesNoDisplay)

    def stop() -> None:
        removal.forget()
        guard.stop()

    return panel, SceneWatch(scene, panel, on_stop=stop)


def _remove_what_was_left(log: LogBook) -> InThread[int]:
    """Remove what a Slicer that was killed has left of patients' images, beside the window, and say so in the log."""

    def done(count: int) -> None:
        if count:
            log.add(_("Temporary folders of jobs that were killed: {count} removed.").format(count=count))

    return InThread(remove_stale_folders, done, log.add)

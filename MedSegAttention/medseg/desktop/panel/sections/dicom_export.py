"""The button that writes the segmentation as DICOM SEG, where its volume came from DICOM; a worker does it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.install.requirements import HIGHDICOM
from medseg.desktop.panel.controls import ask_path_to_save
from medseg.desktop.scene.dicom_export import prepare_export
from medseg.desktop.state.texts import _, describe_event
from medseg.desktop.worker.job_home import make_job_folder, remove_job_folder
from medseg.desktop.worker.job_process import JobProcess, MakeProcess
from medseg.mrml.dicom_origin import came_from_dicom
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import own_volume
from medseg.spec.errors import MedSegError
from medseg.spec.events import Event, Failed, Finished, Stopped, Warned


class DicomExport:
    """Asks for a file, lets a worker write it, and says what became of it.

    Args:
        button: shown where there is something to export.
        current_segmentation: the one that is looked at; None: there is none.
        make_process: makes the worker, when it is needed for the first time; None: nothing is exported.
        installer: installs highdicom, after asking; None: nothing is installed.
        say: hears a sentence for the user.
        ask_path: given a name, asks for a file; None: the user does not want one.
        file_of: the file of a SOP Instance UID.
    """

    def __init__(
        self,
        button: Any,
        current_segmentation: Callable[[], Node],
        make_process: MakeProcess | None,
        installer: DependencyInstaller | None,
        *,
        say: Callable[[str], None],
        ask_path: Callable[[str], Path | None] | None = None,
        file_of: Callable[[str], str] | None = None,
    ) -> None:
        self._button, self._current, self._make_process, self._installer = (
            button,
            current_segmentation,
            make_process,
            installer,
        )
        self._say, self._ask_path, self._file_of = say, ask_path or ask_dicom_path, file_of or file_in_database
        self._process: JobProcess | None = None
        self._folder: Path | None = None  # of the export under way
        self._warnings: list[str] = []
        button.connect("clicked()", self.export)
        self.refresh()

    def refresh(self) -> None:
        """Show the button where there is a series to refer to."""
        node = self._current()
        volume = None if node is None else own_volume(node)
        self._button.setVisible(self._make_process is not None and came_from_dicom(volume))
        self._button.setEnabled(self._folder is None)

    def export(self) -> None:
        """Write the segmentation that is looked at; what is wrong with it is said."""
        node = self._current()
        path = None if node is None or self._folder is not None else self._ask_path(node.GetName())
        if path is None or self._make_process is None:
            return
        self._folder, self._warnings = make_job_folder("dicom-"), []
        try:
            if self._installer is not None:
                self._installer.ensure()
                self._installer.add(HIGHDICOM)
            job = prepare_export(node, self._folder, path, self._file_of)
            self._process = self._process or self._make_process(self._hear, lambda _line: None)
            self._process.start(job)
            self._say(_("Writing {path}...").format(path=path))
        except (MedSegError, OSError) as error:
            self._end(str(error))
        self.refresh()

    def close(self) -> None:
        """End the worker and remove what was on its way to it: the panel is being closed."""
        if self._process is not None:
            self._process.close()
        self._process = None
        self._remove()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._warnings.append(event.message)
        elif isinstance(event, Finished):
            self._end("\n".join([_("Saved as {path}").format(path=event.outputs[0]), *self._warnings]))
        elif isinstance(event, Failed | Stopped):
            self._end(describe_event(event))

    def _end(self, text: str) -> None:
        self._remove()
        self._say(text)
        self.refresh()

    def _remove(self) -> None:
        if self._folder is not None:
            remove_job_folder(self._folder)
        self._folder = None


def ask_dicom_path(name: str) -> Path | None:
    """Let the user say where a DICOM file goes, with this name without its ending proposed; None: nowhere."""
    return ask_path_to_save(_("Export DICOM SEG"), f"{name}.dcm", _("DICOM segmentation (*.dcm)"))


def file_in_database(uid: str) -> str:
    """The file of a SOP Instance UID in Slicer's DICOM database; "" where there is none."""
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    return "" if database is None else str(database.fileForInstance(uid) or "")

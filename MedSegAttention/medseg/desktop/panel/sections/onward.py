"""Where a result goes next: into Slicer's Segment Editor, with the volume it was drawn on, or into a DICOM file."""

from collections.abc import Callable
from typing import Any

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.sections.dicom_export import DicomExport
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import MakeProcess
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import own_volume


class Onward:
    """The row of buttons below the result.

    Args:
        edit_button: always there.
        dicom_button: there where the volume came from DICOM.
        current: the segmentation that is looked at; None: there is none.
        make_process: makes the worker that exports; None: nothing is exported.
        installer: of what that needs; None: nothing is installed.
        say: hears a sentence for the user.
    """

    def __init__(
        self,
        edit_button: Any,
        dicom_button: Any,
        current: Callable[[], Node],
        make_process: MakeProcess | None,
        installer: DependencyInstaller | None,
        say: Callable[[str], None],
    ) -> None:
        self._edit_button, self._current, self._say = edit_button, current, say
        self._export = DicomExport(dicom_button, current, make_process, installer, say=say)
        edit_button.connect("clicked()", self.edit)

    def refresh(self) -> None:
        """Enable what can be done now."""
        self._edit_button.setEnabled(self._current() is not None)
        self._export.refresh()

    def edit(self) -> None:
        """Go on by hand in the Segment Editor."""
        try:
            edit_in_segment_editor(self._current())
        except RuntimeError as error:
            self._say(_("The Segment Editor could not be opened: {error}").format(error=error))

    def close(self) -> None:
        """End what is under way: the panel is being closed."""
        self._export.close()


def edit_in_segment_editor(segmentation: Node) -> None:
    """Open Slicer's Segment Editor on a segmentation and, where it is in the scene, its own volume.

    Args:
        segmentation: the node.

    Raises:
        RuntimeError: if Slicer has no main window or no Segment Editor.
    """
    import slicer

    # Opened first: when the module is entered it chooses a segmentation and a volume by itself.
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(segmentation)
    volume = own_volume(segmentation)
    if volume is not None:  # what the editor chose by itself is better than nothing
        editor.setSourceVolumeNode(volume)

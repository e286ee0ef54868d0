"""The widgets of the panel and where they lie; nothing here knows what they are for."""

from collections.abc import Sequence
from typing import Any

import ctk
import qt
import slicer

from medseg.desktop.texts import _


class Controls:
    """A column of labelled widgets; every one has an accessible name and can be reached by the keyboard."""

    def __init__(self) -> None:
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout(self.widget)
        form = qt.QFormLayout()
        column.addLayout(form)
        self._channels = qt.QFormLayout()
        self.inputs: list[Any] = []

        self.model = qt.QComboBox()
        _add(form, _("&Model:"), self.model, _("What to segment"))
        self.card = qt.QLabel()
        self.card.setWordWrap(True)
        self.card.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        form.addRow(self.card)
        column.addLayout(self._channels)

        output = qt.QFormLayout()
        column.addLayout(output)
        self.output = _node_selector(
            ["vtkMRMLSegmentationNode"], none=_("New segmentation"), tip=_("Where the segments go")
        )
        _add(output, _("&Output:"), self.output, _("Where the segments go"))
        self.mode = qt.QComboBox()
        self.mode.addItem(_("Add to the segments that are there"), "add")
        self.mode.addItem(_("Replace segments of the same name"), "replace")
        _add(output, _("E&xisting segments:"), self.mode, _("What happens to segments that are there already"))

        column.addWidget(self._advanced())
        column.addLayout(self._buttons())
        self.progress = qt.QProgressBar()
        self.progress.setAccessibleName(_("Progress"))
        column.addWidget(self.progress)
        self.status = qt.QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        column.addWidget(self.status)
        column.addWidget(self._log_section())
        column.addStretch(1)

    def set_channels(self, names: Sequence[str], scene: Any) -> None:
        """Show one volume selector a channel; keeps what was chosen in those that stay."""
        while len(self.inputs) > len(names):
            self.inputs.pop().setMRMLScene(None)
            self._channels.removeRow(len(self.inputs))
        while len(self.inputs) < len(names):
            selector = _node_selector(["vtkMRMLScalarVolumeNode"], tip=_("The volume to segment"))
            selector.showChildNodeTypes = False  # labelmaps and colour images are volumes too, but no scans
            selector.setMRMLScene(scene)
            _add(self._channels, "", selector, _("The volume to segment"))
            self.inputs.append(selector)
        for selector, name in zip(self.inputs, names, strict=True):
            label = self._channels.labelForField(selector)
            label.setText(_("&Volume:") if len(names) == 1 else f"{name}:")

    def set_scene(self, scene: Any) -> None:
        """Give every node selector the scene."""
        for selector in (*self.inputs, self.output, self.roi):
            selector.setMRMLScene(scene)

    def _advanced(self) -> Any:
        section = ctk.ctkCollapsibleButton()
        section.text = _("Advanced")
        section.collapsed = True
        form = qt.QFormLayout(section)
        self.device = qt.QComboBox()
        for text, value in (
            (_("Best available"), "auto"),
            (_("Processor (CPU)"), "cpu"),
            (_("NVIDIA graphics card (CUDA)"), "cuda"),
            (_("Apple graphics (MPS)"), "mps"),
        ):
            self.device.addItem(text, value)
        _add(form, _("&Device:"), self.device, _("What the network runs on"))
        self.roi = _node_selector(["vtkMRMLMarkupsROINode"], none=_("Whole volume"), tip=_("Segment only in this box"))
        _add(form, _("&Region:"), self.roi, _("Segment only in this box"))
        self.overlap = qt.QComboBox()
        self.overlap.addItem(_("As the model says"), None)
        for percent in (0, 25, 50, 75):
            self.overlap.addItem(f"{percent} %", percent / 100)
        _add(form, _("Over&lap:"), self.overlap, _("Share of a window its neighbour also sees; more is slower"))
        self.mirror = qt.QComboBox()
        for text, value in ((_("As the model says"), ""), (_("On"), "on"), (_("Off"), "off")):
            self.mirror.addItem(text, value)
        _add(form, _("Mirrorin&g:"), self.mirror, _("Average over mirrored copies; slower, often better"))
        return section

    def _buttons(self) -> Any:
        row = qt.QHBoxLayout()
        self.apply = qt.QPushButton(_("&Apply"))
        self.cancel = qt.QPushButton(_("&Cancel"))
        self.undo = qt.QPushButton(_("&Undo"))
        self.show_3d = qt.QPushButton(_("Show &3D"))
        for button, tip in (
            (self.apply, _("Segment the volume; Slicer can be used meanwhile")),
            (self.cancel, _("Stop the segmentation")),
            (self.undo, _("Take the last change of the segmentation back")),
            (self.show_3d, _("Show the segments as surfaces")),
        ):
            button.setToolTip(tip)
            button.setAccessibleDescription(tip)
            row.addWidget(button)
        return row

    def _log_section(self) -> Any:
        section = ctk.ctkCollapsibleButton()
        section.text = _("Log")
        section.collapsed = True
        column = qt.QVBoxLayout(section)
        self.log = qt.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(5000)
        self.log.setAccessibleName(_("Log"))
        column.addWidget(self.log)
        return section


def _add(form: Any, text: str, widget: Any, tip: str) -> None:
    label = qt.QLabel(text)
    label.setBuddy(widget)
    widget.setToolTip(tip)
    widget.setAccessibleName(text.replace("&", "").rstrip(":"))
    widget.setAccessibleDescription(tip)
    form.addRow(label, widget)


def _node_selector(kinds: Sequence[str], *, tip: str, none: str | None = None) -> Any:
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = list(kinds)
    selector.addEnabled = False
    selector.removeEnabled = False
    selector.noneEnabled = none is not None
    if none is not None:
        selector.noneDisplay = none
    selector.setToolTip(tip)
    return selector

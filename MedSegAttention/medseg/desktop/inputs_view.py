"""One volume selector a channel of the model."""

from collections.abc import Sequence
from typing import Any

import qt
import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop.orders import scans
from medseg.desktop.parameters import Parameters
from medseg.desktop.request import assign_channels
from medseg.desktop.texts import _
from medseg.spec.manifest import ChannelSpec


class InputsView:
    """Rows of selectors bound to the parameters' inputs; several channels are guessed from the volumes' names.

    Args:
        parameters: hold the choice.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.widget = qt.QWidget()
        self._form = qt.QFormLayout(self.widget)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._parameters = parameters
        self._is_showing = False
        self.selectors: list[Any] = []

    def set_model(self, bundle: Bundle | None) -> None:
        """Show the channels of a model, and choose volumes for those that have none."""
        channels = () if bundle is None else bundle.manifest.channels
        while len(self.selectors) > len(channels):
            self._drop_row()
        while len(self.selectors) < len(channels):
            self._add_row()
        for selector, channel in zip(self.selectors, channels, strict=True):
            self._name(selector, channel, len(channels))
        if bundle is not None:
            self._guess(bundle)
        self.refresh()

    def set_scene(self, scene: Any) -> None:
        """Show the volumes of a scene."""
        for selector in self.selectors:
            selector.setMRMLScene(scene)

    def refresh(self) -> None:
        """Show what the parameters hold."""
        self._is_showing = True
        nodes = self._parameters.inputs(len(self.selectors))
        for selector, node in zip(self.selectors, nodes, strict=True):
            if selector.currentNode() is not node:
                selector.setCurrentNode(node)
        self._is_showing = False

    def _add_row(self) -> None:
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.showChildNodeTypes = False  # labelmaps and colour images are volumes too, but no scans
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.noneEnabled = True
        selector.noneDisplay = _("Choose a volume")
        label = qt.QLabel()
        label.setBuddy(selector)
        self.selectors.append(selector)
        self._form.addRow(label, selector)
        selector.setMRMLScene(self._parameters.scene)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._chosen())
        selector.connect("nodeActivated(vtkMRMLNode*)", lambda _node: self._chosen())  # also of the same name

    def _drop_row(self) -> None:
        selector = self.selectors.pop()
        selector.setMRMLScene(None)
        for widget in (self._form.labelForField(selector), selector):  # not every Slicer's Python knows removeRow
            self._form.removeWidget(widget)
            widget.hide()
            widget.deleteLater()

    def _name(self, selector: Any, channel: ChannelSpec, count: int) -> None:
        name = _("Volume") if count == 1 else channel.name
        self._form.labelForField(selector).setText(_("Vo&lume:") if count == 1 else f"{channel.name}:")
        selector.setAccessibleName(name)
        selector.setToolTip(
            _("The volume to segment: {name} ({modality})").format(name=channel.name, modality=channel.modality)
        )

    def _chosen(self) -> None:
        if not self._is_showing:
            self._parameters.set_inputs([selector.currentNode() for selector in self.selectors])

    def _guess(self, bundle: Bundle) -> None:
        """Choose volumes by their names where nothing is chosen; a model of one channel takes the first scan."""
        chosen = self._parameters.inputs(len(self.selectors))
        found = scans(self._parameters.scene)
        if len(chosen) == 1:
            guesses: Sequence[Any] = found[:1] or [None]
        else:
            by_name = {node.GetName(): node for node in found}
            names = assign_channels(list(by_name), bundle.manifest)
            guesses = [None if name is None else by_name[name] for name in names]
        if len({node.GetID() for node in chosen if node is not None}) < len(chosen):  # one is missing, or comes twice
            self._parameters.set_inputs(guesses)

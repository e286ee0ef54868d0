"""One volume selector a channel of the model."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.controls import FIELD_GAP, Showing
from medseg.desktop.scene.cases import volume_sets
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.steps import later
from medseg.desktop.state.texts import _, with_key
from medseg.mrml.grids import Node
from medseg.spec.manifest import ChannelSpec


class InputsView:
    """Rows of selectors bound to the parameters' inputs; where nothing is chosen, volumes are chosen as they come.

    Several channels are chosen where it is sure which volumes belong together, see ``medseg.desktop.scene.cases``.

    Args:
        parameters: hold the choice.
        on_choice: hears each volume that the user chose.
    """

    def __init__(self, parameters: Parameters, on_choice: Callable[[Node], None] = lambda _node: None) -> None:
        self.widget = qt.QWidget()
        self._form = qt.QFormLayout(self.widget)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setHorizontalSpacing(FIELD_GAP)
        self._parameters, self._on_choice = parameters, on_choice
        self._showing = Showing()
        self._bundle: Bundle | None = None
        self._scene: Node = None  # that the selectors list
        self._tags: list[int] = []
        self._came: set[str] = set()  # ids of volumes that came into the scene and were not looked at yet
        self.selectors: list[Any] = []

    @property
    def labels(self) -> list[Any]:
        """What stands before the selectors."""
        return [self._form.labelForField(selector) for selector in self.selectors]

    def set_model(self, bundle: Bundle | None) -> None:
        """Show the channels of a model, and choose volumes for those that have none."""
        channels = () if bundle is None else bundle.manifest.channels
        while len(self.selectors) > len(channels):
            selector = self.selectors.pop()
            selector.setMRMLScene(None)
            for widget in (self._form.labelForField(selector), selector):  # not every Slicer's Python knows removeRow
                self._form.removeWidget(widget)
                widget.hide()
                widget.deleteLater()
        while len(self.selectors) < len(channels):
            self._add_row()
        for selector, channel in zip(self.selectors, channels, strict=True):
            self._name(selector, channel, len(channels))
        self._bundle = bundle
        self._complete()
        self.refresh()

    def set_scene(self, scene: Node) -> None:
        """Show the volumes of a scene, and hear of those that come; None: of no scene."""
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        self._came.clear()
        if scene is not None:
            heard = (
                (scene.NodeAddedEvent, self._added),
                (scene.EndBatchProcessEvent, lambda *_: later(self._choose_what_came)),
            )
            self._tags = [scene.AddObserver(event, callback) for event, callback in heard]
        for selector in self.selectors:
            selector.setMRMLScene(scene)

    def refresh(self) -> None:
        """Show what the parameters hold."""
        nodes = self._parameters.inputs(len(self.selectors))
        with self._showing:
            for selector, node in zip(self.selectors, nodes, strict=True):
                if selector.currentNode() is not node:
                    selector.setCurrentNode(node)

    def _add_row(self) -> None:
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]  # and pictures, see _name
        selector.showChildNodeTypes = False  # labelmaps are volumes too, but no scans
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
        selector.connect("nodeActivated(vtkMRMLNode*)", self._activated)  # also of the same name

    def _name(self, selector: Any, channel: ChannelSpec, count: int) -> None:
        name = _("Volume") if count == 1 else channel.name
        others = (str(self._form.labelForField(each).text) for each in self.selectors)
        taken = {text[text.find("&") + 1].lower() for text in others if "&" in text}
        label = _("Vo&lume:") if count == 1 else f"{with_key(channel.name, taken)}:"
        kinds = ["vtkMRMLScalarVolumeNode", *(["vtkMRMLVectorVolumeNode"] if count == 1 else [])]
        if list(selector.nodeTypes) != kinds:  # a grey picture is often stored, and so loaded, in colours
            with self._showing:
                selector.nodeTypes = kinds
        self._form.labelForField(selector).setText(label)
        selector.setAccessibleName(name)
        selector.setToolTip(
            _("The volume to segment: {name} ({modality})").format(name=channel.name, modality=channel.modality)
        )

    def _chosen(self) -> None:
        if not self._showing:
            self._parameters.set_inputs([selector.currentNode() for selector in self.selectors])

    def _activated(self, node: Node) -> None:
        self._chosen()
        if node is not None and not self._showing:
            self._on_choice(node)

    def _complete(self) -> None:
        """Choose volumes for a model whose channels are not all chosen: those that surely belong to a chosen one."""
        chosen = self._parameters.inputs(len(self.selectors))
        ids = {node.GetID() for node in chosen if node is not None}
        if self._bundle is None or len(ids) == len(chosen):  # fewer: one is missing, or comes twice
            return
        sets = volume_sets(self._parameters.scene, self._bundle)
        fitting = [each for each in sets if not ids or ids & {node.GetID() for node in each}]
        if fitting:
            self._parameters.set_inputs(fitting[0])

    @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator]
    def _added(self, _scene: Node, _event: str, node: Node) -> None:
        """A node came; its name, its voxels and its patient are known when Qt's loop is next turned."""
        if node.IsA("vtkMRMLScalarVolumeNode"):
            if not self._came:
                later(self._choose_what_came)
            self._came.add(node.GetID())

    def _choose_what_came(self) -> None:
        """Choose volumes that were loaded while not all channels were chosen, beside those that are."""
        if self._scene is None or self._bundle is None or self._scene.IsBatchProcessing() or not self._came:
            return
        came, self._came = self._came, set()
        chosen = {node.GetID() for node in self._parameters.inputs(len(self.selectors)) if node is not None}
        if len(chosen) == len(self.selectors):
            return
        for each in volume_sets(self._scene, self._bundle):
            ids = {node.GetID() for node in each}
            if came & ids and chosen <= ids:
                self._parameters.set_inputs(each)
                return

"""The panel's choices in a node of the scene: saved with it, restored with it, observed by every part of the panel."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from medseg.desktop.state.settings import DEFAULTS, PanelSettings, changed, setting_texts, settings_from_texts
from medseg.mrml.grids import Node

MODULE = "MedSegAttention"
OUTPUT, ROI, REFERENCE = "output", "roi", "reference"  # roles of node references
_INPUT = "input{}"


class Parameters:
    """One singleton ``vtkMRMLScriptedModuleNode``, the same that Slicer's ``getParameterNode`` would make.

    Args:
        scene: the MRML scene.
    """

    def __init__(self, scene: Node) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._tags: list[int] = []
        self._node: Node = None
        self._texts: dict[str, str] = {}
        self._settings = DEFAULTS  # what the texts say
        self.scene: Node = None
        self.attach(scene)

    def attach(self, scene: Node) -> None:
        """Use the node of a scene, made where there is none; listeners hear of it."""
        self.detach()
        self.scene = scene
        node = scene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(MODULE)
            node.SetModuleName(MODULE)
            node.SetName(MODULE)
            node = scene.AddNode(node)
        self._node = node
        events = ("ModifiedEvent", node.ReferenceAddedEvent, node.ReferenceModifiedEvent, node.ReferenceRemovedEvent)
        self._tags = [node.AddObserver(event, self._notify) for event in events]
        self._notify()

    def detach(self) -> None:
        """Let go of the node: its scene is being closed."""
        if self._node is not None:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
        self._node, self._tags = None, []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change, whoever made it."""
        self._listeners.append(listener)

    @property
    def settings(self) -> PanelSettings:
        """The choices as they are now; the defaults while there is no node."""
        if self._node is None:
            return PanelSettings()
        texts = {field.name: self._node.GetParameter(field.name) for field in fields(PanelSettings)}
        if texts != self._texts:  # every part of the panel asks, after every change
            self._texts, self._settings = texts, settings_from_texts(texts)
        return self._settings

    def change(self, **values: Any) -> None:
        """Change some choices; listeners hear of it once.

        Raises:
            JobError: if a value means nothing; nothing was changed.
        """
        if self._node is None:
            return
        texts = setting_texts(changed(self.settings, **values))
        before = self._node.StartModify()
        try:
            for name in values:
                self._node.SetParameter(name, texts[name])
        finally:
            self._node.EndModify(before)

    def node(self, role: str) -> Node:
        """The node chosen for a role; None where there is none."""
        return None if self._node is None else self._node.GetNodeReference(role)

    def set_node(self, role: str, node: Node) -> None:
        """Choose a node for a role; None: none."""
        if self._node is not None and self.node(role) is not node:
            self._node.SetNodeReferenceID(role, None if node is None else node.GetID())

    def inputs(self, count: int) -> list[Node]:
        """The volumes chosen for the first ``count`` channels; None where none is."""
        return [self.node(_INPUT.format(number)) for number in range(count)]

    def set_inputs(self, nodes: Sequence[Node]) -> None:
        """Choose volumes for the first channels."""
        for number, node in enumerate(nodes):
            self.set_node(_INPUT.format(number), node)

    def _notify(self, *_: object) -> None:
        for listener in list(self._listeners):
            listener()

"""Where the segments go: a new segmentation, or one that is there, and then what happens to its segments."""

from types import SimpleNamespace

from medseg.desktop.panel.binding import Binding, set_choices
from medseg.desktop.state.parameters import OUTPUT, Parameters
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node


class OutputView:
    """Ties the panel's ``output`` and ``mode`` to the parameters.

    Args:
        parameters: hold the choice.
        names: the panel's controls by their names in the ``.ui`` file.
    """

    def __init__(self, parameters: Parameters, names: SimpleNamespace) -> None:
        self._parameters, self._names = parameters, names
        self._is_showing = False
        set_choices(
            names.mode,
            [
                (_("Keep them; new ones may overlap"), "add"),
                (_("Keep them; new ones overwrite"), "overwrite"),
                (_("Keep them; new ones overwrite visible ones"), "overwrite_visible"),
                (_("Replace those of the same name"), "replace"),
            ],
        )
        names.output.noneDisplay = _("New segmentation")
        self._binding = Binding(parameters)
        self._binding.choice(names.mode, "mode")
        names.output.connect("currentNodeChanged(vtkMRMLNode*)", self._chosen)
        names.output.connect("nodeActivated(vtkMRMLNode*)", self._chosen)  # of two nodes of one name only this tells
        names.output.connect("nodeAboutToBeRemoved(vtkMRMLNode*)", self._removed)

    def set_scene(self, scene: Node) -> None:
        """Offer the segmentations of a scene."""
        self._names.output.setMRMLScene(scene)

    def refresh(self) -> None:
        """Show what the parameters hold; of existing segments nothing is asked where there are none."""
        output = self._parameters.node(OUTPUT)
        self._is_showing = True
        if self._names.output.currentNode() is not output:
            self._names.output.setCurrentNode(output)
        self._is_showing = False
        self._binding.refresh()
        for part in (self._names.mode, self._names.modeLabel):
            part.setVisible(output is not None)

    def _removed(self, node: Node) -> None:
        """Slicer would choose the next segmentation, and nobody asked to add to that."""
        if node is not None and node is self._parameters.node(OUTPUT):
            self._parameters.set_node(OUTPUT, None)

    def _chosen(self, node: Node) -> None:
        if not self._is_showing:
            self._parameters.set_node(OUTPUT, node)

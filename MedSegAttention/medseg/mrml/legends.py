"""Colours for a map of numbers 0..1 whose brightness rises with the number, and the legend that explains them."""

from typing import Any

import numpy as np

from medseg.mrml.grids import Node, nodes_of

_NAME = "Inferno"  # Slicer's own table; of the same name ours, where MRML is used without the application
# Nine colours of Inferno, evenly apart (S. van der Walt and N. Smith, 2015, CC0), RGB 0..255; linear in between.
_STOPS = (
    (0, 0, 4),
    (33, 12, 74),
    (87, 16, 110),
    (138, 34, 106),
    (188, 55, 84),
    (227, 89, 51),
    (249, 140, 10),
    (249, 201, 50),
    (252, 255, 164),
)
_COUNT = 256


def perceptual_colours(scene: Node) -> Node:
    """The colour node for maps of numbers, made where the scene has none.

    Args:
        scene: the MRML scene.
    """
    named = [node for node in nodes_of(scene, "vtkMRMLColorNode") if node.GetName() == _NAME]
    if named:
        return named[0]
    node = scene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)
    node.SetName(_NAME)
    node.SetTypeToUser()
    node.SetNumberOfColors(_COUNT)
    places = np.linspace(0, len(_STOPS) - 1, _COUNT)
    parts = (np.interp(places, range(len(_STOPS)), part) / 255 for part in zip(*_STOPS, strict=True))
    for number, colour in enumerate(zip(*parts, strict=True)):
        node.SetColor(number, f"{number / (_COUNT - 1):.3f}", *map(float, colour), 1.0)
    return scene.AddNode(node)


def show_legend(volume: Node, title: str) -> None:
    """Show what the colours of a volume mean, in every view that shows it."""
    legend = _logic().AddDefaultColorLegendDisplayNode(volume)
    if legend is None:  # the volume has no display
        return
    changing = legend.StartModify()
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.1f")
    legend.SetNumberOfLabels(6)
    legend.SetVisibility(True)
    legend.EndModify(changing)


def hide_legend(volume: Node) -> None:
    """Hide the legend of a volume, where it has one."""
    legend = _logic().GetColorLegendDisplayNode(volume)
    if legend is not None:
        legend.SetVisibility(False)


def _logic() -> Any:
    import slicer

    return slicer.vtkSlicerColorLogic

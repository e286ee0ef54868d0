"""What the colours of the uncertainty mean: brighter is less certain, and a legend says so while the map is seen."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.imaging.image import Image
from medseg.mrml.legends import hide_legend, perceptual_colours, show_legend
from medseg.mrml.views import Foreground
from mrml_nodes import volume_node_from_image


def table_of(node):
    colour = [0.0] * 4
    found = []
    for number in range(node.GetNumberOfColors()):
        assert node.GetColor(number, colour)
        found.append(colour[:3])
    return np.array(found)


def lightness(colours):
    """CIE L* of sRGB colours 0..1."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def test_lightness_rises_evenly_from_black_to_nearly_white(scene):
    steps = lightness(table_of(perceptual_colours(scene)))
    assert steps[0] < 1
    assert steps[-1] > 95
    rises = np.diff(steps)
    assert rises.min() > 0
    # Even: no part of the scale looks like a step or a plateau; grey values' own lightness would be 0.39 each.
    assert np.abs(np.convolve(rises, np.ones(32) / 32, mode="valid") - rises.mean()).max() < 0.5 * rises.mean()


def test_the_colours_are_those_that_matplotlib_calls_inferno(scene):
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib to compare with")
    wanted = matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]
    assert np.abs(table_of(perceptual_colours(scene)) - wanted).max() < 0.07


def test_the_table_is_made_once_and_slicers_own_is_taken_where_there_is_one(scene):
    made = perceptual_colours(scene)
    assert perceptual_colours(scene) is made
    scene.RemoveNode(made)
    slicers = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Inferno")
    assert perceptual_colours(scene) is slicers


@pytest.fixture
def volume(scene, array):
    import slicer

    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # as Slicer's module Colors does
    node = volume_node_from_image(scene, Image(array.astype(np.float32) / 2), "uncertainty")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(perceptual_colours(scene).GetID())
    return node


def legend_of(node):
    import slicer

    return slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)


def test_the_legend_is_seen_as_long_as_the_map_is(scene, volume):
    scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    foreground = Foreground()
    for _ in range(2):
        foreground.show(scene, volume, "Uncertainty")
        assert legend_of(volume).GetVisibility()
        assert legend_of(volume).GetTitleText() == "Uncertainty"
        foreground.take_off()
        assert not legend_of(volume).GetVisibility()
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1


def test_a_map_that_was_deleted_meanwhile_has_no_legend_to_hide(scene, volume):
    foreground = Foreground()
    foreground.show(scene, volume, "Uncertainty")
    scene.RemoveNode(volume)
    foreground.take_off()


def test_a_volume_without_a_display_gets_no_legend(scene):
    bare = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    show_legend(bare, "Uncertainty")
    hide_legend(bare)
    assert legend_of(bare) is None

"""What Slicer's views show of a result, drawn by its own displayable managers."""

import numpy as np
import pytest

from views import Views, why_not

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.scene.results import show_labels
from medseg.imaging.image import Image
from mrml_nodes import volume_node_from_image

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SPACING = np.diag([2.0, 2.0, 2.0, 1.0])
LIVER, SPLEEN = np.array([221, 130, 101]), np.array([157, 108, 162])


@pytest.fixture
def phantom():
    """Two boxes on a grey field: label 2 right, label 3 left of the middle; the K axis is up."""
    labels = np.zeros((1, 40, 40, 20), dtype=np.uint8)
    labels[0, 24:34, 10:30, 5:15] = 2
    labels[0, 6:16, 10:30, 5:15] = 3
    return labels


@pytest.fixture
def result(scene, phantom, specs):
    rng = np.random.default_rng(1)
    scan = Image(rng.normal(100, 5, (1, 40, 40, 20)).astype(np.float32), SPACING)
    volume = volume_node_from_image(scene, scan, "scan")
    return volume, show_labels(scene, Image(phantom, SPACING), specs, volume).node


def hue(pixels):
    """A colour without its brightness."""
    pixels = np.asarray(pixels, dtype=float)
    return (pixels - pixels.mean(axis=-1, keepdims=True)) / np.maximum(pixels.sum(axis=-1, keepdims=True), 1)


def test_a_slice_view_shows_each_segment_in_its_colour_where_it_lies(scene, result):
    volume, _node = result
    centre = (39.0, 39.0, 19.0)
    picture = Views(scene).slice(volume, centre, field_of_view_mm=80, size=(400, 400))

    def pixel(r, a):  # the patient's right is on the left of the picture
        return picture[round(200 - (a - centre[1]) * 5), round(200 - (r - centre[0]) * 5)]

    for r, colour in ((57.0, LIVER), (21.0, SPLEEN)):
        seen = hue(pixel(r, 39.0))
        assert seen @ hue(colour) > 0.9 * np.linalg.norm(seen) * np.linalg.norm(hue(colour))
        assert np.linalg.norm(seen) > 0.02
    np.testing.assert_allclose(hue(pixel(39.0, 39.0)), 0, atol=1e-6)  # between the boxes the scan is grey
    np.testing.assert_allclose(hue(pixel(57.0, 65.0)), 0, atol=1e-6)  # and so it is in front of them


def test_the_3d_view_shows_both_surfaces_once_they_are_made(scene, result):
    _volume, node = result
    views = Views(scene)
    empty = views.space()
    node.CreateClosedSurfaceRepresentation()
    picture = views.space()

    def share(image, colour):
        seen = hue(image.reshape(-1, 3))
        norms = np.maximum(np.linalg.norm(seen, axis=1), 1e-9)
        alike = seen @ hue(colour) / (norms * np.linalg.norm(hue(colour)))
        return float(((alike > 0.98) & (norms > 0.02)).mean())

    for colour in (LIVER, SPLEEN):
        assert share(empty, colour) < 0.001
        assert share(picture, colour) > 0.05

"""The picture: what lies where, in which colour, at which scale."""

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.jobs.preview.draw import _fitted, _font, draw_preview
from medseg.jobs.preview.planes import AXIAL, CORONAL, SAGITTAL, Scene, draw_plane
from medseg.jobs.preview.surface import Camera, render_surface
from medseg.spec.manifest import Code, LabelSpec

CODE = Code("SCT", "123037004", "Anatomical Structure")
RED, BLUE = (230, 30, 30), (30, 30, 230)
SPECS = tuple(
    LabelSpec(value=value, name=name, color=color, category=CODE, type=CODE)
    for value, name, color in ((1, "right ball", RED), (2, "left ball", BLUE))
)
CAMERA = Camera.from_front(0, 0)


def ball(shape, centre_ras, radius, affine):
    index = np.indices(shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    return (np.linalg.norm(world - np.array(centre_ras)[:, None], axis=0) < radius).reshape(shape)


def two_balls(affine=None):
    """A red ball on the patient's right and a blue one on the left."""
    affine = np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine
    labels = np.zeros((1, 60, 40, 20), dtype=np.uint8)
    labels[0][ball((60, 40, 20), (44, 20, 20), 10, affine)] = 1
    labels[0][ball((60, 40, 20), (15, 20, 20), 10, affine)] = 2
    return Image(labels, affine)


def columns_of(rgb, channel):
    """Mean column of the pixels in which one colour stands out."""
    other = 2 - channel
    found = (rgb[..., channel].astype(int) - rgb[..., other]) > 60
    assert found.any()
    return np.argwhere(found)[:, 1].mean()


@pytest.mark.parametrize("plane", [AXIAL, CORONAL])
def test_the_patients_right_is_on_the_left_of_the_picture(plane):
    labels = two_balls()
    centre = np.array([30.0, 20.0, 20.0])
    blank = Image(np.zeros((1, *labels.shape), dtype=np.float32), labels.affine)
    scene = Scene(centre, centre, 60.0, (0.0, 1.0))
    drawn = np.asarray(draw_plane(blank, labels, {1: RED, 2: BLUE}, plane, scene, 200))
    assert columns_of(drawn, 0) < columns_of(drawn, 2)


def test_the_picture_is_to_scale_though_voxels_are_not_cubes():
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    labels = Image(ball((60, 40, 20), (30, 20, 40), 15, affine)[None].astype(np.uint8), affine)
    blank = Image(np.zeros((1, *labels.shape), dtype=np.float32), affine)
    centre = np.array([30.0, 20.0, 40.0])
    scene = Scene(centre, centre, 60.0, (0.0, 1.0))
    for plane in (CORONAL, SAGITTAL):
        drawn = np.asarray(draw_plane(blank, labels, {1: RED}, plane, scene, 240))
        rows, columns = np.nonzero(drawn[..., 0] > 20)
        assert np.ptp(rows) == pytest.approx(120, abs=14)
        assert np.ptp(columns) == pytest.approx(120, abs=8)


def test_a_rendered_ball_has_the_diameter_of_the_ball():
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    labels = Image(ball((40, 40, 40), (20, 20, 20), 12, affine)[None].astype(np.uint8), affine)
    view = render_surface(labels, {1: RED}, size=(200, 200), camera=CAMERA)
    rows, columns = np.nonzero(view.rgba[..., 3])
    assert (np.ptp(columns) + 1) * view.mm_per_pixel == pytest.approx(24, abs=1.2)
    assert (np.ptp(rows) + 1) * view.mm_per_pixel == pytest.approx(24, abs=1.2)


def test_a_one_voxel_thin_sheet_is_still_seen():
    labels = np.zeros((1, 30, 30, 30), dtype=np.uint8)
    labels[0, 5:25, 15, 5:25] = 1
    view = render_surface(Image(labels), {1: RED}, size=(100, 100), camera=CAMERA)
    assert (view.rgba[..., 3] > 0).mean() > 0.4


def test_the_nearer_of_two_surfaces_hides_the_other():
    labels = np.zeros((1, 30, 40, 30), dtype=np.uint8)
    labels[0, 5:25, 28:34, 5:25] = 1  # further to the front
    labels[0, 8:22, 5:20, 8:22] = 2
    view = render_surface(Image(labels), {1: RED, 2: BLUE}, size=(80, 80), camera=CAMERA)
    seen = view.rgba[..., 3] > 0
    assert (view.rgba[..., 0][seen] > view.rgba[..., 2][seen]).all()


def test_a_rendering_does_not_depend_on_how_the_labels_are_stored():
    labels = two_balls()
    flip = labels.affine.copy()
    flip[:3, 0] *= -1
    flip[:3, 3] += labels.affine[:3, 0] * (labels.shape[0] - 1)
    stored = Image(np.ascontiguousarray(labels.array[:, ::-1]), flip)
    first, second = (render_surface(image, {1: RED, 2: BLUE}, size=(100, 100)).rgba for image in (labels, stored))
    assert np.abs(first.astype(int) - second).mean() < 1


def test_an_empty_segmentation_still_makes_a_picture():
    image = Image(np.full((1, 8, 8, 8), 5.0))
    picture = draw_preview(image, Image(np.zeros((1, 8, 8, 8), dtype=np.uint8)), SPECS)
    assert picture.mode == "RGB"
    assert render_surface(Image(np.zeros((1, 8, 8, 8), dtype=np.uint8)), {}, size=(10, 10)) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (20, 1, 30), (3, 50, 2)])
def test_thin_volumes_make_a_picture(shape):
    labels = Image(np.ones((1, *shape), dtype=np.uint8))
    image = Image(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32))
    assert draw_preview(image, labels, SPECS).size == (1324, 1024)


def test_both_colours_are_in_the_whole_picture():
    labels = two_balls()
    image = Image(labels.array.astype(np.float32), labels.affine)
    drawn = np.asarray(draw_preview(image, labels, SPECS)).astype(int)
    assert ((drawn[..., 0] - drawn[..., 2]) > 100).any()
    assert ((drawn[..., 2] - drawn[..., 0]) > 100).any()


def test_names_of_the_legend_are_written_whole_in_smaller_letters_before_they_are_cut():
    whole, letters = _fitted("right posterior hippocampus", 186)
    assert whole == "right posterior hippocampus"
    assert letters < 16
    assert _fitted("liver", 186) == ("liver", 16)
    cut, letters = _fitted("the name of a segment that no column of any picture could ever hold", 186)
    assert cut.endswith("...")
    assert _font(letters).getlength(cut) <= 186

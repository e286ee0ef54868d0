"""A template is found in a turned head, its boxes follow it, and what is cut out of them comes back to its place."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.imaging.locate import BoxCanvas, cut_box, is_located, place_boxes
from medseg.imaging.registration import Registration, Template, register
from medseg.io.read import read_image, read_labels
from medseg.spec.errors import ImageError
from medseg.spec.locating import BoxSpec, LocateRule

LEFT = BoxSpec(name="left", low_mm=(-34.0, -20.0, -16.0), high_mm=(-4.0, 20.0, 14.0), margin_mm=3.0)
RIGHT = replace(LEFT, name="right", low_mm=(4.0, -20.0, -16.0), high_mm=(34.0, 20.0, 14.0), mirror=True)
RULE = LocateRule(template="colin27", boxes=(LEFT, RIGHT))


@pytest.fixture(scope="module")
def colin(checkout):
    folder = checkout / "Models" / "templates" / "colin27"
    return Template(read_image(folder / "t1.nii.gz").image, read_labels(folder / "regions.nii.gz"))


def turned(degrees, shift=(0.0, 0.0, 0.0), scale=1.0):
    """A turn about the R axis, mm -> mm."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = shift
    return matrix


def head(shape=(60, 70, 60), spacing=2.0, affine=None):
    """A volume with a smooth pattern, centred at 0."""
    affine = np.diag([spacing, spacing, spacing, 1.0]) if affine is None else affine
    affine = affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Image(np.zeros((1, *shape), dtype=np.float32), affine)


def points_of(image):
    index = np.stack([*np.meshgrid(*map(np.arange, image.shape), indexing="ij"), np.ones(image.shape)], axis=-1)
    return (index @ image.affine.T)[..., :3]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_a_tilted_head_of_another_contrast_and_orientation_is_found(colin, axes):
    moved = turned(20.0, (12.0, -25.0, 30.0), 0.95)
    source = colin.image
    thin = source.array[:, ::2, ::2, ::2].astype(np.float32)
    inverted = np.where(thin > 20, 160 - thin, 0)
    affine = moved @ source.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    patient = Image(inverted.transpose(0, *(axis + 1 for axis in axes)), affine[:, [*axes, 3]])
    found = register(patient, colin)
    points = np.array([(-25.0, -20.0, -9.0, 1.0), (25.0, -20.0, -9.0, 1.0), (0.0, 20.0, 20.0, 1.0)])
    off = np.linalg.norm((points @ (found.to_patient - moved).T)[:, :3], axis=1)
    assert off.max() < 4.0
    assert found.quality > 0.5


def test_boxes_follow_a_tilted_head_and_grow_with_it():
    moved = turned(30.0, (5.0, 6.0, 7.0), 1.1)
    image = head((90, 90, 90))
    left, right = place_boxes(RULE, Registration(moved, 0.9), image)
    for box in (left, right):
        size = np.subtract(box.spec.high_mm, box.spec.low_mm) * 1.1 + 6.0
        np.testing.assert_allclose(box.high_mm - box.low_mm, size)
        middle = (np.add(box.spec.low_mm, box.spec.high_mm) / 2).tolist()
        np.testing.assert_allclose(box.corners.mean(axis=0), moved @ [*middle, 1.0])
    rotation = moved[:3, :3] / 1.1
    np.testing.assert_allclose(left.to_patient[:3, :3], rotation, atol=1e-12)
    np.testing.assert_allclose(right.to_patient[:3, :3], rotation * [-1.0, 1.0, 1.0], atol=1e-12)


def test_a_box_that_does_not_scale_has_the_size_of_the_template():
    rule = LocateRule(template="colin27", boxes=(replace(LEFT, scales=False, margin_mm=0.0),))
    (box,) = place_boxes(rule, Registration(turned(10.0, scale=1.2), 0.9), head())
    np.testing.assert_allclose(box.high_mm - box.low_mm, [30.0, 40.0, 30.0])
    assert box.grid((1.5, 1.5, 1.5))[0] == (20, 27, 20)


@pytest.mark.parametrize("mirror", [False, True])
def test_where_a_box_lies_travels_as_its_middle_edges_and_directions(mirror):
    rule = LocateRule(template="colin27", boxes=(replace(LEFT, mirror=mirror),))
    (box,) = place_boxes(rule, Registration(turned(15.0, (3.0, 4.0, 5.0)), 0.9), head())
    placed = box.placed
    axes = np.transpose([placed.axis_i, placed.axis_j, placed.axis_k])
    assert np.linalg.det(axes) == pytest.approx(1)
    signs = np.array(list(product((-0.5, 0.5), repeat=3)))
    corners = np.array(placed.centre_mm) + (signs * placed.size_mm) @ axes.T
    apart = np.linalg.norm(corners[:, None] - box.corners[None, :, :3], axis=-1)
    np.testing.assert_allclose(np.sort(apart, axis=1)[:, 0], 0, atol=1e-9)
    assert len(set(apart.argmin(axis=1))) == 8


@pytest.mark.parametrize("mirror", [False, True])
def test_what_is_cut_out_of_a_box_comes_back_to_its_place(mirror):
    image = head(affine=turned(-8.0) @ np.diag([-2.0, 2.0, 2.0, 1.0]))
    points = points_of(image)
    ball = np.linalg.norm(points - [-19.0, 0.0, -1.0], axis=-1) < 10
    ball &= points[..., 0] < -17.0  # not symmetric
    scan = Image(ball[None].astype(np.float32), image.affine)
    rule = LocateRule(template="colin27", boxes=(replace(LEFT, mirror=mirror),))
    (box,) = place_boxes(rule, Registration(turned(15.0), 0.9), scan)
    cut = cut_box(scan, box, (1.0, 1.0, 1.0))
    canvas = BoxCanvas(scan, 8, probabilities=True)
    canvas.paint(box, np.stack([1 - cut.array[0], cut.array[0]]), cut.affine, [7])
    found = canvas.labels == 7
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.97
    assert set(np.unique(canvas.labels)) == {0, 7}
    np.testing.assert_allclose(canvas.probabilities[0] + canvas.probabilities[7], 1.0, atol=1e-5)


def test_the_surer_of_two_boxes_has_a_voxel():
    scan = head()
    rule = LocateRule(template="colin27", boxes=(LEFT, replace(LEFT, name="again")))
    boxes = place_boxes(rule, Registration(np.eye(4), 0.9), scan)
    canvas = BoxCanvas(scan, 3, probabilities=False)
    for box, value, sure in zip(boxes, (1, 2), (0.9, 0.6), strict=True):
        shape, affine = box.grid((2.0, 2.0, 2.0))
        one = np.full(shape, sure, dtype=np.float32)
        canvas.paint(box, np.stack([1 - one, one]), affine, [value])
    assert set(np.unique(canvas.labels)) == {0, 1}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Registration(np.eye(4), 0.1), "agrees with the template by 0.10"),
        (Registration(turned(0.0, scale=1.6), 0.9), "1.60 to 1.60 times"),
        (Registration(turned(0.0, (100.0, 0.0, 0.0)), 0.9), "of the box of the left"),
    ],
)
def test_what_is_not_to_be_believed_is_refused_with_a_next_step(found, words):
    with pytest.raises(ImageError, match=words) as caught:
        place_boxes(RULE, found, head())
    assert "--roi" in str(caught.value)


def test_a_crop_and_a_region_are_not_located():
    assert is_located(RULE, (40, 120, 40), np.eye(4), has_region=False)
    assert not is_located(RULE, (40, 90, 40), np.eye(4), has_region=False)
    assert not is_located(RULE, (40, 120, 40), np.eye(4), has_region=True)
    assert not is_located(None, (400, 400, 400), np.eye(4), has_region=False)

"""A box is laid around what was found in another; a head that is hardly turned is cut on the image's own voxels."""

from dataclasses import replace

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.imaging.locate import LocatedBox, cut_box, place_boxes
from medseg.imaging.refine import refined_box, same_place
from medseg.imaging.registration import Registration
from medseg.spec.locating import BoxSpec, LocateRule

SPEC = BoxSpec(name="left", low_mm=(-34.0, -20.0, -16.0), high_mm=(-4.0, 20.0, 14.0), margin_mm=3.0)
ALIGNED = LocateRule(template="colin27", boxes=(SPEC,), straighten_from_deg=10.0)


def turned(degrees):
    """A turn about the R axis."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def scores_of(mask):
    """All certain: two labels, the second of them the upper half along k."""
    upper = np.arange(mask.shape[2]) >= mask.shape[2] // 2
    return np.stack([~mask, mask & ~upper, mask & upper]).astype(np.float32)


@pytest.fixture
def box():
    return LocatedBox(SPEC, turned(20.0), np.array([-40.0, -30.0, -20.0]), np.array([0.0, 20.0, 24.0]))


def test_a_refined_box_is_the_bounds_of_the_largest_part_and_the_margin(box):
    shape, affine = box.grid((1.0, 1.0, 1.0))
    mask = np.zeros(shape, dtype=bool)
    mask[3:12, 10:31, 20:29] = True
    mask[38, 48, 42] = True  # a stray voxel
    found = refined_box(box, scores_of(mask), affine, 3.0)
    np.testing.assert_allclose(found.low_mm, [-40.0, -23.0, -3.0])
    np.testing.assert_allclose(found.high_mm, [-25.0, 4.0, 12.0])
    np.testing.assert_array_equal(found.to_patient, box.to_patient)


@pytest.mark.parametrize(("spacing", "margin"), [((1.0, 1.0, 1.0), 2.5), ((0.8, 1.0, 1.5), 3.0)])
def test_the_voxels_of_a_refined_box_are_those_of_the_first(box, spacing, margin):
    shape, affine = box.grid(spacing)
    mask = np.zeros(shape, dtype=bool)
    mask[3:11, 10:30, 11:19] = True
    _, other = refined_box(box, scores_of(mask), affine, margin).grid(spacing)
    apart = np.linalg.solve(affine, other)
    np.testing.assert_allclose(apart[:3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(apart[:3, 3], np.round(apart[:3, 3]), atol=1e-9)


def test_the_axes_of_the_scores_may_come_in_another_order(box):
    shape, affine = box.grid((1.0, 2.0, 1.0))
    mask = np.zeros(shape, dtype=bool)
    mask[3:12, 4:16, 20:29] = True
    there = np.array([[0, 0, -1, shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # i backwards comes last
    other = mask[::-1].transpose(1, 2, 0)
    one, two = refined_box(box, scores_of(mask), affine, 3.0), refined_box(box, scores_of(other), affine @ there, 3.0)
    np.testing.assert_allclose(one.low_mm, two.low_mm)
    np.testing.assert_allclose(one.high_mm, two.high_mm)
    assert same_place(one, two)
    assert not same_place(one, box)


def test_around_nothing_and_around_a_few_stray_voxels_no_box_is_laid(box):
    shape, affine = box.grid((1.0, 1.0, 1.0))
    mask = np.zeros(shape, dtype=bool)
    assert refined_box(box, scores_of(mask), affine, 3.0) is None
    adult = replace(box, spec=replace(SPEC, volume_ml=(2.0, 6.0)))
    mask[5:13, 5:13, 5:12] = True  # 448 mm3
    assert refined_box(adult, scores_of(mask), affine, 3.0) is None
    assert refined_box(box, scores_of(mask), affine, 3.0) is not None
    mask[5:13, 5:13, 12] = True  # 512 mm3, and 500 are a quarter
    assert refined_box(adult, scores_of(mask), affine, 3.0) is not None


@pytest.mark.parametrize("mirror", [False, True])
def test_a_head_that_is_hardly_turned_is_cut_on_the_voxels_of_the_image(mirror):
    array = np.random.default_rng(0).normal(size=(1, 80, 90, 84)).astype(np.float32)
    affine = turned(4.0) @ np.array([[0, 0, -1.0, 40.0], [1, 0, 0, -42.0], [0, 1, 0, -40.0], [0, 0, 0, 1]])
    image = Image(array, affine)
    rule = replace(ALIGNED, boxes=(replace(SPEC, mirror=mirror),))
    (box,) = place_boxes(rule, Registration(turned(11.0), 0.9), image)
    (straight,) = place_boxes(replace(rule, straighten_from_deg=0.0), Registration(turned(11.0), 0.9), image)
    np.testing.assert_allclose(box.high_mm - box.low_mm, straight.high_mm - straight.low_mm, atol=1.0)
    np.testing.assert_allclose(box.corners.mean(axis=0), straight.corners.mean(axis=0), atol=0.9)
    assert np.sign(np.linalg.det(box.to_patient)) == np.sign(np.linalg.det(straight.to_patient))
    cut = cut_box(image, box, (1.0, 1.0, 1.0))
    voxels = np.linalg.inv(image.affine) @ box.to_patient @ cut.affine
    np.testing.assert_allclose(voxels, np.round(voxels), atol=1e-9)
    index = np.stack([*np.indices(cut.shape), np.ones(cut.shape)], axis=-1) @ np.round(voxels).T
    i, j, k = np.moveaxis(index[..., :3].astype(int), -1, 0)
    np.testing.assert_allclose(cut.array[0], array[0, i, j, k], atol=1e-4)


def test_a_head_that_is_turned_more_is_straightened_as_ever():
    affine = np.array([[1.0, 0, 0, -45], [0, 1, 0, -45], [0, 0, 1, -45], [0, 0, 0, 1]])
    image = Image(np.zeros((1, 90, 90, 90), np.float32), affine)
    for rule in (ALIGNED, replace(ALIGNED, straighten_from_deg=0.0)):
        (box,) = place_boxes(rule, Registration(turned(10.5), 0.9), image)
        np.testing.assert_allclose(box.to_patient, turned(10.5), atol=1e-12)

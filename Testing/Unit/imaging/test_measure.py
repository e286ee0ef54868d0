import math

import numpy as np
import pytest

from medseg.imaging._itk import otsu
from medseg.imaging.image import Image
from medseg.imaging.measure import SegmentMeasures, dice, measure


def test_measures_are_counts_times_voxel_volume_and_plain_means(make_affine, make_manifest):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, size=(1, 9, 8, 7)).astype(np.uint8)
    image = rng.normal(100, 20, size=(2, 9, 8, 7)).astype(np.float32)
    affine = make_affine(spacing=(0.5, 2.0, 3.0), degrees=30, shear=0.2)  # shear keeps the volume
    specs = make_manifest(label_count=3).labels
    rows = measure(Image(labels, affine), Image(image, affine), specs)
    assert [(row.name, row.value) for row in rows] == [("part 1", 1), ("part 2", 2)]
    for row in rows:
        inside = labels[0] == row.value
        assert row.voxels == inside.sum()
        assert row.volume_ml == pytest.approx(inside.sum() * 0.5 * 2 * 3 / 1000)
        assert row.mean_intensity == pytest.approx(image[0][inside].mean(dtype=np.float64))


def test_an_empty_segment_has_no_volume_and_no_mean(make_manifest):
    (row,) = measure(Image(np.zeros((1, 2, 2, 2), np.uint8)), Image(np.ones((1, 2, 2, 2))), make_manifest(2).labels)
    assert row == SegmentMeasures("part 1", 1, 0, 0.0, row.mean_intensity)
    assert math.isnan(row.mean_intensity)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_areas_across_any_axis_and_no_volumes(make_affine, make_manifest, axis):
    """Of a sheared slice a pixel is a parallelogram: base times height, by the sine of the angle between its sides."""
    shape = [8, 9, 7]
    shape[axis] = 1
    labels = np.random.default_rng(1).integers(0, 3, size=(1, *shape)).astype(np.uint8)
    affine = make_affine(spacing=(0.5, 2.0, 3.0), degrees=30, shear=0.2)
    first, second = (affine[:3, each] for each in range(3) if each != axis)
    sides = np.linalg.norm(first), np.linalg.norm(second)
    sine = np.sin(np.arccos(first @ second / np.prod(sides)))
    for row in measure(Image(labels, affine), Image(labels, affine), make_manifest(label_count=3).labels):
        assert row.area_cm2 == pytest.approx((labels == row.value).sum() * np.prod(sides) * sine / 100)
        assert math.isnan(row.volume_ml)


def test_a_volume_has_no_areas(make_manifest):
    labels = Image(np.ones((1, 2, 2, 2), np.uint8))
    (row,) = measure(labels, labels, make_manifest(2).labels)
    assert math.isnan(row.area_cm2)
    assert row.volume_ml == pytest.approx(8 / 1000)
    with pytest.raises(ValueError, match=r"single slice, got a volume of \(2, 2, 2\)"):
        labels.area_cm2(1)


@pytest.mark.parametrize("depth", [1, 4])
def test_where_nobody_knows_the_spacing_there_are_voxels_alone(make_manifest, depth):
    labels = np.ones((1, 3, 2, depth), np.uint8)
    image = Image(labels, spacing_known=False)
    (row,) = measure(Image(labels), image, make_manifest(2).labels)
    assert (row.voxels, image.size_unit, image.size(row.voxels)) == (6 * depth, "voxels", 6 * depth)
    assert math.isnan(row.area_cm2)
    assert math.isnan(row.volume_ml)


def test_labels_and_image_on_different_grids_are_refused(make_manifest):
    with pytest.raises(ValueError, match="one grid"):
        measure(Image(np.zeros((1, 2, 2, 2), np.uint8)), Image(np.ones((1, 2, 2, 3))), make_manifest(2).labels)


def test_dice_is_one_for_equal_masks_and_none_where_both_are_empty():
    assert dice(3, 4, 5) == pytest.approx(6 / 9)
    assert dice(4, 4, 4) == 1
    assert dice(0, 4, 0) == 0
    assert math.isnan(dice(0, 0, 0))


def test_a_millilitre_is_a_thousand_cubic_millimetres():
    assert Image(np.zeros((1, 2, 2, 2)), np.diag([2.0, -5.0, 10.0, 1.0])).volume_ml(30) == pytest.approx(3)


def test_otsus_threshold_lies_in_the_middle_of_the_gap_between_two_groups():
    values = np.concatenate([np.linspace(0, 10, 70), np.linspace(90, 100, 30)])
    assert otsu(values) == pytest.approx(50)

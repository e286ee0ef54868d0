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

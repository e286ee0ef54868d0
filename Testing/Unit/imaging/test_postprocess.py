import numpy as np
import pytest
from scipy import ndimage

from medseg.imaging.image import Image
from medseg.imaging.postprocess import label_boxes, postprocess
from medseg.spec.postprocess import PostprocessRule

AFFINE = np.diag([0.5, 2.0, 1.5, 1.0])  # 1.5 mm3 a voxel
CORNERS = np.ones((3, 3, 3))


def blobs(seed, shape=(24, 22, 20), count=3):
    """Random labels with parts of many sizes and holes."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    edges = np.quantile(noise, [0.4, 0.8, 0.9][:count])
    return np.digitize(noise, edges).astype(np.uint8)


def run(array, **rule):
    return postprocess(Image(array[None], AFFINE), PostprocessRule(**rule)).array[0]


@pytest.mark.parametrize("seed", range(4))
def test_islands_below_the_limit_go_and_the_others_stay(seed):
    array = blobs(seed)
    expected = array.copy()
    for value in (1, 2, 3):
        numbers, count = ndimage.label(array == value, structure=CORNERS)
        for n in range(1, count + 1):
            if (numbers == n).sum() * 1.5 < 15.0:
                expected[numbers == n] = 0
    assert 0 < (expected != array).sum() < (array > 0).sum()
    np.testing.assert_array_equal(run(array, min_island_mm3=15.0), expected)


def test_an_island_of_exactly_the_limit_stays():
    array = np.zeros((8, 8, 8), dtype=np.uint8)
    array[1, 1, 1:5] = 1  # 6 mm3
    assert (run(array, min_island_mm3=6.0) == array).all()
    assert (run(array, min_island_mm3=6.01) == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_part_of_every_label_stays(seed):
    array = blobs(seed)
    tidied = run(array, keep_largest=True)
    for value in (1, 2, 3):
        numbers, _ = ndimage.label(array == value, structure=CORNERS)
        sizes = np.bincount(numbers.ravel())[1:]
        kept = np.unique(numbers[tidied == value])
        assert len(kept) == 1
        assert sizes[kept[0] - 1] == sizes.max()
        assert (tidied == value).sum() == sizes.max()


@pytest.mark.parametrize("limit", [1.5, 6.0, np.inf])
@pytest.mark.parametrize("seed", range(4))
def test_holes_up_to_the_limit_take_the_label_around_them(seed, limit):
    array = blobs(seed)
    array[np.random.default_rng(seed).random(array.shape) < 0.08] = 0
    expected = array.copy()
    numbers, count = ndimage.label(array == 0)
    for n in range(1, count + 1):
        hole = numbers == n
        around = np.unique(array[ndimage.binary_dilation(hole) & ~hole])
        at_border = not ndimage.binary_erosion(np.ones_like(hole))[hole].all()
        if len(around) == 1 and not at_border and hole.sum() * 1.5 <= limit:
            expected[hole] = around[0]
    assert (expected != array).sum() > 5
    np.testing.assert_array_equal(run(array, fill_holes_mm3=limit), expected)


@pytest.mark.parametrize("seed", range(4))
def test_all_holes_of_one_label_are_scipys(seed):
    array = (np.random.default_rng(seed).random((24, 22, 20)) < 0.75).astype(np.int16)
    expected = ndimage.binary_fill_holes(array)
    assert expected.sum() > array.sum()
    np.testing.assert_array_equal(run(array, fill_holes_mm3=np.inf), expected)


def test_a_hole_between_two_labels_or_holding_another_is_left():
    array = np.zeros((9, 9, 9), dtype=np.uint8)
    array[1:8, 1:8, 1:8] = 1
    array[4, 4, 3:5] = 0
    array[4, 4, 5] = 2  # the pocket touches label 2
    np.testing.assert_array_equal(run(array, fill_holes_mm3=np.inf), array)
    array[4, 4, 5] = 1
    filled = run(array, fill_holes_mm3=3.0)
    assert (filled[1:8, 1:8, 1:8] == 1).all()
    np.testing.assert_array_equal(run(array, fill_holes_mm3=2.9), array)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ring_in_a_flat_volume_has_a_hole(axis):
    ring = np.zeros((9, 9), dtype=np.uint8)
    ring[2:7, 2:7] = 3
    ring[3:6, 3:6] = 0
    expected = np.where(ndimage.binary_fill_holes(ring), 3, 0)
    np.testing.assert_array_equal(run(np.expand_dims(ring, axis), fill_holes_mm3=100.0), np.expand_dims(expected, axis))


def test_a_bay_at_the_border_of_the_volume_is_no_hole():
    array = np.ones((5, 5, 5), dtype=np.uint8)
    array[0, 2, 2] = 0
    np.testing.assert_array_equal(run(array, fill_holes_mm3=np.inf), array)


def test_nothing_asked_changes_nothing_and_the_input_is_never_touched():
    array = blobs(0)
    labels = Image(array[None], AFFINE)
    assert postprocess(labels, PostprocessRule()) is labels
    before = array.copy()
    tidied = postprocess(labels, PostprocessRule(keep_largest=True, min_island_mm3=9.0, fill_holes_mm3=30.0))
    np.testing.assert_array_equal(array, before)
    assert tidied.array.dtype == array.dtype
    np.testing.assert_array_equal(tidied.affine, AFFINE)


def test_an_empty_segmentation_stays_empty():
    assert (run(np.zeros((3, 1, 4), dtype=np.uint16), keep_largest=True, fill_holes_mm3=9.0) == 0).all()


def test_boxes_are_scipys():
    array = blobs(1)
    assert label_boxes(array) == dict(enumerate(ndimage.find_objects(array), start=1))


@pytest.mark.parametrize("array", [np.zeros((2, 3, 3, 3), np.uint8), np.zeros((1, 3, 3, 3), np.float32)])
def test_anything_but_one_channel_of_integers_is_refused(array):
    with pytest.raises(ValueError, match="one channel of integers"):
        postprocess(Image(array), PostprocessRule(keep_largest=True))

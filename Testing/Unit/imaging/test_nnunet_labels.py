"""Labels of an earlier stage are resampled as batchgenerators does it, which is asked where it is installed."""

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.imaging.nnunet_labels import one_hot
from medseg.imaging.nnunet_resample import NnunetResample


def blobs(shape, seed=0, count=3):
    """Labels in lumps of two voxels, so that several meet."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, count + 1, [(size + 1) // 2 for size in shape])
    return np.kron(coarse, np.ones((2, 2, 2), dtype=int))[tuple(slice(size) for size in shape)]


def resample(shape, spacing, wanted):
    return NnunetResample.to_nnunet_spacing(Image(np.zeros((1, *shape)), np.diag([*spacing, 1.0])), wanted)


def test_without_resampling_each_label_is_a_channel():
    labels = blobs((5, 6, 7))
    step = resample(labels.shape, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    found = one_hot(labels, np.ones(labels.shape, dtype=bool), step, 3)
    assert found.dtype == np.float32
    for value in (1, 2, 3):
        np.testing.assert_array_equal(found[value - 1], labels == value)


def test_no_voxel_has_two_labels_and_one_label_stays_one():
    labels = blobs((9, 10, 11))
    step = resample(labels.shape, (1.0, 1.0, 1.0), (0.7, 1.3, 0.9))
    found = one_hot(labels, np.ones(labels.shape, dtype=bool), step, 3)
    assert found.shape == (3, *step.shape)
    assert set(np.unique(found.sum(axis=0))) == {0.0, 1.0}
    full = one_hot(np.full((9, 10, 11), 2), np.ones((9, 10, 11), dtype=bool), step, 3)
    np.testing.assert_array_equal(full, np.broadcast_to(np.array([0, 1, 0])[:, None, None, None], full.shape))


@pytest.mark.parametrize("wanted", [(0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (0.8, 1.7, 1.1), (1.0, 1.0, 0.5)])
def test_labels_are_those_of_batchgenerators(wanted):
    theirs = pytest.importorskip("batchgenerators.augmentations.utils", reason="compares with batchgenerators 0.25.5")
    labels = blobs((10, 12, 8), seed=4)
    inside = np.ones(labels.shape, dtype=bool)
    inside[:3] = False
    step = resample(labels.shape, (1.0, 1.0, 1.0), wanted)
    found = one_hot(labels, inside, step, 3)
    marked = np.where((labels == 0) & ~inside, -1, labels)
    expected = theirs.resize_segmentation(marked.astype(float), step.shape, 1)
    np.testing.assert_array_equal(found, [expected == value for value in (1, 2, 3)])


def test_coarse_slices_take_the_nearest_slice():
    labels = blobs((8, 8, 6), seed=2)
    inside = np.ones(labels.shape, dtype=bool)
    step = resample(labels.shape, (1.0, 1.0, 5.0), (1.0, 1.0, 2.5))
    assert step.slices_there == 2
    found = one_hot(labels, inside, step, 3)
    np.testing.assert_array_equal(found, [np.repeat(labels, 2, axis=2) == value for value in (1, 2, 3)])

"""What nnU-Net's mask of voxels to normalise holds: what is not air, and what an earlier stage found there."""

import numpy as np

from medseg.imaging.image import Image
from medseg.imaging.nnunet import crop_to_nonzero, normalised
from medseg.spec.nnunet import NnunetChannel, NnunetRule

RULE = NnunetRule(axes=(0, 1, 2), spacing_mm=(1.0, 1.0, 1.0), channels=(NnunetChannel(scheme="zscore", masked=True),))


def test_voxels_of_air_that_an_earlier_stage_labelled_are_normalised_with_the_others():
    array = np.zeros((1, 8, 8, 8), dtype=np.float32)
    array[0, :4] = np.random.default_rng(0).normal(100, 20, (4, 8, 8))
    array[0, 7, 7, 7] = 50.0  # so that air lies inside the box
    image = Image(array, np.eye(4))
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[3:6, 2:4, 2:4] = 2
    chosen = (array[0] != 0) | (labels > 0)
    assert (chosen != (array[0] != 0)).sum() == 8
    found = normalised(image, image, crop_to_nonzero(image), RULE, labels)[0]
    values = array[0][chosen]
    np.testing.assert_allclose(found[chosen], (values - values.mean()) / values.std(), rtol=1e-5)
    assert not found[~chosen].any()

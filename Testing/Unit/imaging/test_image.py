import numpy as np
import pytest

from medseg.imaging.image import Image


def test_shape_spacing_and_volume_are_read_off_the_array_and_the_affine(make_affine):
    image = Image(np.zeros((2, 3, 4, 5)), make_affine((2, 0, 1), (-1, 1, 1), spacing=(0.5, 2, 3), degrees=50))
    assert image.channel_count == 2
    assert image.shape == (3, 4, 5)
    assert image.spacing == pytest.approx((0.5, 2, 3))
    assert image.voxel_volume_mm3 == pytest.approx(3)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 3, 4, 5)])
def test_an_array_that_is_not_a_volume_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(C, I, J, K\)"):
        Image(np.zeros(shape))


@pytest.mark.parametrize("affine", [np.eye(3), np.diag([1.0, 0, 1, 1]), np.full((4, 4), np.nan)])
def test_an_affine_that_is_not_invertible_is_refused(affine):
    with pytest.raises(ValueError, match="invertible"):
        Image(np.zeros((1, 2, 2, 2)), affine)

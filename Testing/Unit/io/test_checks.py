"""What is noticed about voxels, channel by channel."""

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image
from medseg.spec.errors import ImageError


def test_an_odd_channel_of_several_is_named_and_repaired_by_its_own_values(tmp_path):
    channels = np.stack([np.full((3, 4, 5), 7.0), np.arange(60.0).reshape(3, 4, 5), 1e9 * np.ones((3, 4, 5))])
    channels[1, 0, 0, 0], channels[2, 1, 1, 1], channels[2, 0, 0, 0] = np.nan, 2, -np.inf
    write_image(tmp_path / "a.nrrd", Image(channels))
    reading = read_image(tmp_path / "a.nrrd")
    assert reading.image.array[1, 0, 0, 0] == 1
    assert reading.image.array[2, 0, 0, 0] == 2
    assert [sentence.partition(": channel ")[2][:24] for sentence in reading.warnings] == [
        "2 of 3: 1 NaN and 0 infi",
        "3 of 3: 0 NaN and 1 infi",
        "1 of 3: every voxel is 7",
        "3 of 3: voxel values rea",
    ]
    channels[1] = np.nan
    write_image(tmp_path / "b.nrrd", Image(channels))
    with pytest.raises(ImageError, match="channel 2 of 3: voxels must be numbers, and all 60"):
        read_image(tmp_path / "b.nrrd")

"""Sizes that the pooling does not divide: the result has the size of the image and stays in its place."""

import torch

from medseg.networks.blocks.layers import max_pool, upsample


def test_odd_sizes_are_placed_as_even_ones_are():
    ramp = torch.arange(36, dtype=torch.float32).reshape(1, 1, 36, 1, 1)
    even = upsample(max_pool(ramp, (2, 1, 1)), (2, 1, 1), (36, 1, 1))
    odd = upsample(max_pool(ramp[:, :, :35], (2, 1, 1)), (2, 1, 1), (35, 1, 1))
    torch.testing.assert_close(odd[:, :, :32], even[:, :, :32])


def test_up_sampling_undoes_pooling_for_a_constant_of_any_size():
    for size in ((7, 8, 9), (1, 2, 3), (5, 5, 5)):
        volume = torch.full((1, 2, *size), 3.0)
        torch.testing.assert_close(upsample(max_pool(volume, (2, 2, 2)), (2, 2, 2), size), volume)


def test_a_factor_of_one_changes_nothing():
    volume = torch.randn(1, 1, 3, 4, 5)
    assert upsample(volume, (1, 1, 1), (3, 4, 5)).equal(volume)

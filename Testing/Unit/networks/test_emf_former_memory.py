"""Memory of EMF-former's attention in bytes, counted operator by operator: linear in the voxels, not quadratic."""

import pytest
import torch
from torch import nn

from live_bytes import inference_bytes, saved_bytes, training_bytes
from medseg.networks.blocks.serial_multi_head_attention import SerialMultiHeadAttention
from medseg.networks.blocks.vector_aggregation_attention import VAA
from medseg.networks.emf_former import EMFFormer

COUNTERS = {"inference": inference_bytes, "training": training_bytes, "saved": saved_bytes}
FLOAT = 4
CHANNELS, HEADS = 64, 4


class FullAttention(nn.Module):
    """Multi-head attention with its n x n weights written out."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.project = nn.Linear(CHANNELS, 3 * CHANNELS), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x):
        rows = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(rows).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = torch.softmax(q @ k.transpose(2, 3), dim=-1) @ v
        return self.project(attended.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(x.shape)


def second_difference(count, build, shape):
    """Zero for what grows in proportion to the length of the last axis, on top of any constant."""
    *rest, length = shape
    once, twice, thrice = (count(build, (*rest, factor * length)) for factor in (1, 2, 3))
    assert once < twice
    return thrice - 2 * twice + once


def test_the_counter_counts_what_is_alive_at_once():
    class Steps(nn.Module):
        def forward(self, x):
            doubled = x * 2
            tripled = doubled * 3
            del doubled
            return tripled.flatten() * 4  # a view costs nothing; at the end two arrays are alive

    assert inference_bytes(Steps, (5, 7)) == 2 * 35 * FLOAT
    assert saved_bytes(nn.GELU, (5, 7)) == 0  # its input needs no gradient
    assert saved_bytes(lambda: nn.Linear(7, 3), (5, 7)) == 35 * FLOAT


@pytest.mark.parametrize("count", COUNTERS)
@pytest.mark.parametrize("sizes", [(32, 24), (8, 9, 10)])
@pytest.mark.parametrize(
    "build",
    [
        lambda: VAA(CHANNELS),
        lambda: SerialMultiHeadAttention(CHANNELS, heads=HEADS),
        lambda: SerialMultiHeadAttention(CHANNELS, heads=HEADS, keep_every=1),
    ],
    ids=["vaa", "half of the heads", "all heads"],
)
def test_attention_takes_memory_in_proportion_to_the_voxels(count, sizes, build):
    assert second_difference(COUNTERS[count], build, (2, CHANNELS, *sizes)) == 0


@pytest.mark.parametrize("count", COUNTERS)
def test_full_attention_does_not(count):
    voxels = 32 * 24
    excess = second_difference(COUNTERS[count], FullAttention, (1, CHANNELS, 32, 24))
    assert excess >= 2 * HEADS * voxels**2 * FLOAT  # of n^2: 9 - 2 * 4 + 1


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [({"spatial_dims": 2}, (128, 128)), ({}, (32, 64, 64)), ({"refine": False}, (32, 64, 64))],
)
@pytest.mark.parametrize("count", COUNTERS)
def test_the_whole_network_takes_memory_in_proportion_to_the_image(count, arguments, sizes):
    build = lambda: EMFFormer(**arguments)  # noqa: E731
    assert second_difference(COUNTERS[count], build, (1, 1, *sizes)) == 0


@pytest.mark.parametrize(
    ("count", "most"), [("inference", 12 * 2**20), ("training", 31 * 2**20), ("saved", 25 * 2**20)]
)
def test_leaving_heads_out_saves_memory_and_either_is_a_small_part_of_full_attention(count, most):
    shape = (1, CHANNELS, 112, 112)
    some, every = (
        COUNTERS[count](lambda n=n: SerialMultiHeadAttention(CHANNELS, heads=HEADS, keep_every=n), shape)
        for n in (2, 1)
    )
    assert some < 0.9 * every
    assert every < 1.05 * most
    assert COUNTERS[count](FullAttention, shape) > 2.3 * 2**30

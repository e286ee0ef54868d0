"""Averages over flips, against their definition."""

from itertools import product

import pytest
import torch

from medseg.inference.mirroring import mirrored
from medseg.inference.sliding_window import predict_volume
from medseg.inference.windows import WindowPlan
from medseg.spec.manifest import Code, LabelSpec, OverlapRule
from medseg.training.data.augment import ranges_for
from small_manifest import small_manifest


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Conv3d(1, 2, 3, padding=1).requires_grad_(False)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_the_answer_is_the_mean_over_every_flip_and_costs_two_to_the_axes(network, axes):
    windows, calls = torch.randn(2, 1, 5, 6, 7), []

    def counted(patches):
        calls.append(1)
        return network(patches)

    answers = []
    for chosen in product([False, True], repeat=len(axes)):
        dims = [axis + 2 for axis, flip in zip(axes, chosen, strict=True) if flip]
        answers.append(network(windows.flip(dims)).flip(dims))
    torch.testing.assert_close(mirrored(counted, axes)(windows), torch.stack(answers).mean(0))
    assert len(calls) == 2 ** len(axes)


def test_a_mirrored_network_does_not_know_left_from_right(network):
    windows = torch.randn(1, 1, 6, 5, 4)
    both = mirrored(network, (0,))
    torch.testing.assert_close(both(windows.flip(2)), both(windows).flip(2))
    assert not torch.allclose(network(windows.flip(2)), network(windows).flip(2), atol=1e-3)


def sided(orientation="RAS", names=("left lung", "trachea", "Right lung"), **fields):
    """A model of three labels, two of which lie on either side."""
    code = Code("SCT", "39607008", "Lung")
    labels = [
        LabelSpec(value=value, name=name, color=(1, 2, 3), category=code, type=code)
        for value, name in enumerate(names, start=1)
    ]
    return small_manifest(labels=tuple(labels), orientation=orientation, mirror_axes=(0, 2), **fields)


def test_a_mirrored_patient_s_left_is_another_s_right():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 4, 3, padding=1).requires_grad_(False)
    exchange = sided().side_exchange
    assert exchange == (0, (0, 3, 2, 1))
    both = mirrored(network, (0,), exchange)
    windows = torch.randn(1, 1, 6, 5, 4)
    torch.testing.assert_close(both(windows.flip(2)), both(windows).flip(2)[:, [0, 3, 2, 1]])
    assert not torch.allclose(both(windows.flip(2)), both(windows).flip(2), atol=1e-3)
    other = mirrored(network, (1,), exchange)  # front and back say nothing of sides
    torch.testing.assert_close(other(windows), mirrored(network, (1,))(windows))


@pytest.mark.parametrize(
    ("fields", "exchange"),
    [
        ({"orientation": "PIR"}, (2, (0, 3, 2, 1))),
        ({"names": ("lung", "trachea", "heart")}, None),
        ({"names": ("left lung", "trachea", "heart")}, None),
        ({"overlapping": OverlapRule(order=(1, 2, 3))}, (0, (2, 1, 0))),
    ],
)
def test_outputs_are_exchanged_across_the_axis_of_left_and_right(fields, exchange):
    assert sided(**fields).side_exchange == exchange


def test_training_flips_sides_only_with_their_labels_exchanged():
    found = ranges_for(sided())
    assert found.mirror_axes == (0, 2)
    assert (found.sides_axis, found.exchange) == sided().side_exchange
    plain = ranges_for(sided(names=("lung", "trachea", "heart")))
    assert plain.mirror_axes == (0, 2)
    assert plain.exchange == ()


def test_mirroring_windows_equals_mirroring_the_volume(network):
    volume = torch.randn(1, 12, 8, 8)
    windows = tuple(WindowPlan((12, 8, 8), (4, 4, 4), 0.5))
    by_window = predict_volume(volume, mirrored(network, (0,)), windows, label_count=2)
    plain = predict_volume(volume, network, windows, label_count=2)
    flipped = predict_volume(volume.flip(1), network, windows, label_count=2).flip(1)
    torch.testing.assert_close(by_window, (plain + flipped) / 2)


def test_no_axes_leave_the_network_alone(network):
    windows = torch.randn(1, 1, 4, 4, 4)
    torch.testing.assert_close(mirrored(network, ())(windows), network(windows), rtol=0, atol=0)


@pytest.mark.parametrize("axes", [(3,), (-1,), (0, 0)])
def test_axes_that_are_not_three_different_ones_are_refused(network, axes):
    with pytest.raises(ValueError, match="mirror axes"):
        mirrored(network, axes)

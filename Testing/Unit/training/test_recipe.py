"""The numbers of a training run: learning rate, deep supervision, averaged weights."""

import itertools

import pytest
import torch
from torch import nn

from medseg.networks import build_network
from medseg.training.recipe import Lesson, Recipe, schedule, supervise


def test_the_learning_rate_starts_low_peaks_after_the_warm_up_and_ends_at_zero():
    assert schedule(0.0, 0.1) == pytest.approx(0.1 / 1.1)
    assert schedule(0.1, 0.1) == pytest.approx(1.0)
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1.0, 0.1) == pytest.approx(0.0, abs=1e-12)


def test_the_learning_rate_never_jumps():
    values = [schedule(n / 1000, 0.03) for n in range(1001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.04


def test_one_output_is_scored_as_it_is():
    loss = nn.MSELoss()
    output, labels = torch.rand(2, 1, 4, 4, 4), torch.rand(2, 1, 4, 4, 4)
    assert supervise(loss, output, labels) == loss(output, labels)


def test_side_outputs_count_half_their_resolution_and_see_labels_of_their_own_size():
    def loss(level: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        assert level.shape[2:] == target.shape[2:]
        return level.mean()

    outputs = [torch.full((1, 2, size, size, size), value) for size, value in ((8, 1.0), (4, 10.0), (2, 100.0))]
    labels = torch.zeros(1, 1, 8, 8, 8)
    expected = (1.0 + 0.25 * 10 + 0.125 * 100) / (1 + 0.25 + 0.125)
    assert supervise(loss, outputs, labels).item() == pytest.approx(expected)


class LateLesson(Lesson):
    """A lesson in the middle of a run, where the averaging has reached its final decay."""

    @property
    def global_step(self) -> int:
        return 1000


def test_averaged_weights_move_by_one_minus_the_decay_also_where_parts_are_shared():
    network = build_network("ultralight_unet", widths="T", label_count=2)
    lesson = LateLesson(network, Recipe(ema_decay=0.75), seconds=60, steps=10_000)
    before = {name: tensor.clone() for name, tensor in lesson.averaged.state_dict().items()}
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.add_(1)
    lesson.on_train_batch_end()
    for name, tensor in lesson.averaged.state_dict().items():
        moved = 0.25 if tensor.is_floating_point() else 1
        torch.testing.assert_close(tensor, before[name] + moved, msg=name)

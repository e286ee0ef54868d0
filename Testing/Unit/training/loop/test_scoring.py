"""The Dice that picks the kept weights: closed forms of networks that answer the same everywhere."""

import numpy as np
import pytest
import torch
from torch import nn

from medseg.training.data.cases import IGNORE, Case
from medseg.training.loop.watch import score_cases
from Unit.training.phantoms import a_manifest

SIZE, CPU = 16, torch.device("cpu")
VOXELS = SIZE**3
FIRST, SECOND = 3 * SIZE**2, 5 * SIZE**2  # voxels of the two labels


class Always(nn.Module):
    """Finds one of three labels in every voxel."""

    def __init__(self, label):
        super().__init__()
        self.label = label

    def forward(self, image):
        logits = torch.zeros(len(image), 3, *image.shape[2:])
        logits[:, self.label] = 9.0
        return logits


def a_case(*, known=(True, True, True)):
    labels = np.zeros((1, SIZE, SIZE, SIZE), dtype=np.uint8)
    labels[0, :3], labels[0, 3:8] = 1, 2
    return Case("a", np.zeros(labels.shape, dtype=np.float32), labels, {}, np.array(known))


def score(label, *cases):
    return score_cases(Always(label), cases, a_manifest(("one", "two")), CPU)


def test_a_network_that_finds_nothing_scores_nothing_however_much_background_there_is():
    assert score(0, a_case()) == 0


def test_the_score_is_the_mean_over_labels_without_the_background():
    assert score(1, a_case()) == pytest.approx((2 * FIRST / (VOXELS + FIRST) + 0) / 2)
    assert score(2, a_case()) == pytest.approx((0 + 2 * SECOND / (VOXELS + SECOND)) / 2)


def test_voxels_and_labels_that_nobody_looked_at_do_not_count():
    masked = a_case()
    masked.labels[0, 8:] = IGNORE
    assert score(1, masked) == pytest.approx(2 * FIRST / (VOXELS / 2 + FIRST) / 2)
    assert score(1, a_case(known=(True, True, False))) == pytest.approx(2 * FIRST / (VOXELS + FIRST))


def test_a_label_that_a_case_neither_has_nor_shows_says_nothing_about_it():
    without = a_case()
    without.labels[without.labels == 2] = 0
    assert score(1, without) == pytest.approx(2 * FIRST / (VOXELS + FIRST))
    both = [2 * FIRST / (VOXELS + FIRST), 2 * SECOND / (VOXELS + SECOND)]
    assert score(2, a_case(), without) == pytest.approx((0 + (both[1] + 0) / 2) / 2)

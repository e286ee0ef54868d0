"""The loss against MONAI's, and what it passes over."""

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from medseg.training.data.cases import IGNORE
from medseg.training.loop.loss import DiceCrossEntropy, supervise


@pytest.fixture
def sample():
    torch.manual_seed(0)
    return torch.randn(2, 4, 5, 6, 7), torch.randint(0, 4, (2, 1, 5, 6, 7))


@pytest.mark.parametrize("dims", [2, 3])
def test_with_everything_labelled_it_is_monais(sample, dims):
    logits, labels = (each[..., 0] if dims == 2 else each for each in sample)
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)(logits, labels)
    torch.testing.assert_close(DiceCrossEntropy()(logits, labels), theirs)
    everything = torch.ones(2, 4, dtype=torch.bool)
    torch.testing.assert_close(DiceCrossEntropy()(logits, labels, everything), theirs)


def test_ignored_voxels_are_as_if_they_were_not_there(sample):
    logits, labels = sample
    masked, cut = labels.clone(), slice(0, 3)
    masked[:, :, 3:] = IGNORE
    expected = DiceCrossEntropy()(logits[:, :, cut], labels[:, :, cut])
    torch.testing.assert_close(DiceCrossEntropy()(logits, masked), expected)
    changed = logits.clone()
    changed[:, :, 3:] = torch.randn_like(changed[:, :, 3:])
    torch.testing.assert_close(DiceCrossEntropy()(changed, masked), expected)


def test_a_label_nobody_looked_for_is_part_of_the_background(sample):
    logits, labels = sample
    two = torch.where(labels > 2, 0, labels)
    known = torch.tensor([[True, True, True, False]] * 2)
    share = logits.softmax(1)
    merged = torch.stack([share[:, 0] + share[:, 3], share[:, 1], share[:, 2]], dim=1).log()
    expected = DiceCrossEntropy()(merged, two)
    torch.testing.assert_close(DiceCrossEntropy()(logits, two, known), expected)


def test_an_unknown_label_gets_no_push_between_itself_and_the_background():
    logits = torch.zeros(1, 3, 2, 2, 2, requires_grad=True)
    labels, known = torch.zeros(1, 1, 2, 2, 2), torch.tensor([[True, True, False]])
    DiceCrossEntropy()(logits, labels, known).backward()
    torch.testing.assert_close(logits.grad[:, 0], logits.grad[:, 2])
    assert (logits.grad[:, 1] > 0).all()


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

"""A patch whose left and right change places shows a mirrored patient: what was the left label is the right one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medseg.training.data.augment import Ranges, augmentation, ranges_for
from medseg.training.data.augment_batch import BatchAugmentation
from medseg.training.data.cases import IGNORE
from Unit.training.phantoms import a_manifest

NAMES = ("kidney_right", "kidney_left", "liver")
NEVER = dict.fromkeys(("affine", "noise", "blur", "factor", "offset", "low_resolution", "contrast", "bias"), 0.0)


def a_model(names=NAMES):
    return a_manifest(label_names=names, mirror_axes=(0,))


def always(found: Ranges) -> Ranges:
    return replace(found, mirror=1.0, **NEVER)


def a_patch():
    """Right, left, liver, and what nobody looked at, in slabs from left to right."""
    slabs = np.array([2, 2, 0, IGNORE, 3, 1], dtype=np.uint8)
    labels = np.broadcast_to(slabs[None, :, None, None], (1, 6, 4, 4)).copy()
    return labels.astype(np.float32), labels


@pytest.mark.parametrize("whole_batch", [False, True])
def test_flipped_labels_that_have_a_side_become_their_counterparts(whole_batch):
    image, labels = a_patch()
    found = always(ranges_for(a_model()))
    if whole_batch:
        changed, moved = BatchAugmentation(found)(torch.from_numpy(image)[None], torch.from_numpy(labels)[None], [0])
        changed, moved = changed[0], moved[0]
    else:
        patch = augmentation(found)({"image": image, "labels": labels})
        changed, moved = patch["image"], patch["labels"]
        assert set(patch) == {"image", "labels"}
    assert moved[0, :, 0, 0].tolist() == [2, 3, IGNORE, 0, 1, 1]
    assert changed[0, :, 0, 0].tolist() == [1, 3, IGNORE, 0, 2, 2]
    assert labels[0, :, 0, 0].tolist() == [2, 2, 0, IGNORE, 3, 1]


def test_patches_that_are_not_flipped_keep_their_labels():
    change = augmentation(replace(always(ranges_for(a_model())), mirror=0.5))
    change.set_random_state(0)
    seen = set()
    for _ in range(40):
        image, labels = a_patch()
        patch = change({"image": image, "labels": labels})
        seen.add((int(patch["image"][0, 0, 0, 0]), int(patch["labels"][0, 0, 0, 0])))
    assert seen == {(2, 2), (1, 2)}  # as it was; the right one, now on the left and labelled so


def test_labels_without_a_side_are_flipped_as_they_are():
    found = ranges_for(a_model(("liver", "spleen", "bladder")))
    assert found.mirror_axes == (0,)
    assert found.sides_axis is None


def test_where_an_expert_looked_for_one_side_alone_sides_stay_where_they_are():
    everything, right_alone = np.array([True, True, True, True]), np.array([True, True, False, True])
    assert ranges_for(a_model(), [everything]).mirror_axes == (0,)
    assert ranges_for(a_model(), [everything, right_alone]).mirror_axes == ()


def test_axes_that_do_not_lie_from_left_to_right_exchange_nothing():
    found = ranges_for(replace(a_model(), mirror_axes=(1,)))
    assert found.mirror_axes == (1,)
    assert found.sides_axis is None

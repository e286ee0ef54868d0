"""Which patch is cut follows from the seed and its number; where it lies, from what is asked for."""

import numpy as np
import pytest
import torch

from medseg.inference.slicewise import add_border_slices
from medseg.spec.manifest import SliceRule
from medseg.training.data.augment import augmentation, ranges
from medseg.training.data.cases import Case
from medseg.training.data.patches import Patches, Steps, cut_patch


def a_case(shape=(9, 10, 11)):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape) + 1
    labels = np.zeros((1, *shape), dtype=np.uint8)
    labels[0, 6, 7, 8], labels[0, :3] = 1, 2
    places = {value: np.argwhere(labels[0] == value).astype(np.int32) for value in (1, 2)}
    return Case("a", image, labels, places, np.ones(3, dtype=bool))


def test_every_place_is_reached_and_image_and_labels_agree():
    case, rng = a_case(), np.random.default_rng(0)
    corners = set()
    for _ in range(300):
        image, labels = cut_patch(case, (8, 9, 10), rng)
        corners.add(float(image[0, 0, 0, 0]))
        where = np.unravel_index(int(image[0, 2, 3, 4]) - 1, (9, 10, 11))
        assert labels[0, 2, 3, 4] == case.labels[0][where]
    assert len(corners) == 8


def test_a_smaller_volume_is_padded_on_both_sides_as_at_inference():
    image, _ = cut_patch(a_case(), (12, 10, 11), np.random.default_rng(0))
    assert not image[0, 0].any()
    assert not image[0, -2:].any()
    np.testing.assert_array_equal(image[0, 1:10], a_case().image[0])


def test_foreground_patches_hold_every_label_equally_often():
    case, rng = a_case(), np.random.default_rng(1)
    rare = sum(1 in cut_patch(case, (1, 1, 1), rng, foreground=1.0)[1] for _ in range(200))
    assert 70 < rare < 130  # one voxel of 331 labelled ones


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbouring_slices_become_channels_as_inference_makes_them(axis):
    case, rule = a_case(), SliceRule(axis=axis, context=2)
    shape = [9, 10, 11]
    shape[axis] = 1
    volume = add_border_slices(torch.from_numpy(case.image), rule)
    windows = volume.unfold(axis + 1, 5, 1).movedim(-1, 0).flatten(0, 1).movedim(axis + 1, 0)
    for seed in range(12):
        image, labels = cut_patch(case, tuple(shape), np.random.default_rng(seed), slices=rule)
        same = [n for n, window in enumerate(windows) if np.array_equal(window.numpy(), image)]
        assert len(same) == 1
        np.testing.assert_array_equal(labels[0], np.take(case.labels[0], same[0], axis=axis))


def test_a_patch_is_the_same_whoever_prepares_it_and_whenever():
    make = lambda seed: Patches([a_case(), a_case()], augmentation(ranges([0])), (8, 8, 8), foreground=0.3, seed=seed)  # noqa: E731
    one, other = make(0), make(0)
    for number in (5, 3, 5):
        assert torch.equal(one[number]["image"], other[number]["image"])
    assert not torch.equal(one[3]["image"], one[5]["image"])
    assert not torch.equal(one[3]["image"], make(1)[3]["image"])


def test_each_pass_sees_every_case_once():
    cases = [Case(str(n), a_case().image * 0 + n, a_case().labels, {}, np.ones(3, dtype=bool)) for n in range(5)]
    patches = Patches(cases, augmentation(ranges([])), (2, 2, 2))
    patches.change.transforms = patches.change.transforms[-1:]
    orders = [[int(patches[n]["image"].max()) for n in range(start, start + 5)] for start in (0, 5)]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3, 4]] * 2
    assert orders[0] != orders[1]


def test_processes_share_a_step_without_overlap():
    every = [list(Steps(2, 4, 3, rank=rank, world=2)) for rank in (0, 1)]
    assert every == [[[12, 13, 14], [18, 19, 20]], [[15, 16, 17], [21, 22, 23]]]

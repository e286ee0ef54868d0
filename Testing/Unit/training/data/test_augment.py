"""Random changes keep image and labels together."""

import numpy as np
import pytest
import torch

from medseg.training.data.augment import augmentation, ranges, ranges_for
from Unit.training.phantoms import a_slice_manifest


def a_case_whose_image_is_its_label(dims: int = 3) -> dict[str, np.ndarray]:
    labels = np.zeros((1, 20, 24, 18), dtype=np.uint8)
    labels[0, 6:14, 7:17, 5:12] = 1
    labels = labels[..., 8] if dims == 2 else labels
    return {"image": labels.astype(np.float32) * 4, "labels": labels}


@pytest.mark.parametrize("dims", [2, 3])
def test_image_and_labels_move_together(dims):
    change = augmentation(ranges(range(dims), spacing_mm=(1.0,) * dims))
    change.set_random_state(1)
    for _ in range(8):
        patch = change(a_case_whose_image_is_its_label(dims))
        bright, labelled = patch["image"][0] > 2, patch["labels"][0] > 0
        overlap = 2 * (bright & labelled).sum() / (bright.sum() + labelled.sum())
        assert overlap > 0.85


def test_labels_stay_whole_numbers():
    change = augmentation(ranges([0]))
    change.set_random_state(2)
    values = torch.cat([change(a_case_whose_image_is_its_label())["labels"].unique() for _ in range(4)])
    assert set(values.tolist()) <= {0, 1}


def test_a_mirrored_axis_is_flipped_about_half_of_the_time():
    change = augmentation(ranges([0]))
    change.transforms = change.transforms[:1]
    change.set_random_state(3)
    image = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)
    case = {"image": image, "labels": image.astype(np.uint8)}
    flipped = [bool(change(case)["image"][0, 0, 0, 0] == image[0, 3, 0, 0]) for _ in range(200)]
    assert 70 < sum(flipped) < 130


def test_thick_slices_are_turned_in_their_plane_only():
    change = augmentation(ranges([], spacing_mm=(1.0, 1.0, 5.0)))
    affine = change.transforms[0].rand_affine.rand_affine_grid
    assert affine.rotate_range[:2] == (0.0, 0.0)
    assert affine.rotate_range[2] > 0


def test_the_axes_of_slices_are_those_of_the_network():
    change = augmentation(ranges_for(a_slice_manifest(axis=0)))
    patch = {"image": np.ones((3, 16, 16), dtype=np.float32), "labels": np.ones((1, 16, 16), dtype=np.uint8)}
    assert change(patch)["image"].shape == (3, 16, 16)

"""Random changes keep image and labels together."""

import numpy as np
import torch

from medseg.training.augment import augmentation


def a_case_whose_image_is_its_label() -> dict[str, np.ndarray]:
    labels = np.zeros((1, 20, 24, 18), dtype=np.uint8)
    labels[0, 6:14, 7:17, 5:12] = 1
    return {"image": labels.astype(np.float32) * 4, "labels": labels}


def test_patches_have_the_window_shape_also_when_the_volume_is_smaller():
    change = augmentation((24, 20, 32), [0])
    change.set_random_state(0)
    patch = change(a_case_whose_image_is_its_label())
    assert patch["image"].shape == (1, 24, 20, 32)
    assert patch["labels"].shape == (1, 24, 20, 32)


def test_image_and_labels_move_together():
    change = augmentation((20, 24, 18), [0, 1, 2])
    change.set_random_state(1)
    for _ in range(8):
        patch = change(a_case_whose_image_is_its_label())
        bright, labelled = patch["image"][0] > 2, patch["labels"][0] > 0
        overlap = 2 * (bright & labelled).sum() / (bright.sum() + labelled.sum())
        assert overlap > 0.9


def test_labels_stay_whole_numbers():
    change = augmentation((20, 24, 18), [0])
    change.set_random_state(2)
    values = torch.cat([change(a_case_whose_image_is_its_label())["labels"].unique() for _ in range(4)])
    assert set(values.tolist()) <= {0, 1}


def test_a_mirrored_axis_is_flipped_about_half_of_the_time():
    change = augmentation((4, 4, 4), [0])
    change.transforms = change.transforms[:3]  # padding, cropping, flipping
    change.set_random_state(3)
    image = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)
    case = {"image": image, "labels": image.astype(np.uint8)}
    flipped = [bool(change(case)["image"][0, 0, 0, 0] == image[0, 3, 0, 0]) for _ in range(200)]
    assert 70 < sum(flipped) < 130

"""Changing a whole batch: the same distribution as patch by patch, and every patch on its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, Affine, GaussianSmooth

from medseg.training.data import augment_batch
from medseg.training.data.augment import Ranges, augmentation, ranges
from medseg.training.data.augment_batch import BatchAugmentation

CHANCES = ("mirror", "affine", "noise", "blur", "factor", "offset", "low_resolution", "contrast", "bias")
NEVER = dict.fromkeys(CHANCES, 0.0)


def only(dims: int = 3, **changes) -> Ranges:
    return replace(ranges(range(dims), spacing_mm=(1.0,) * dims), **NEVER | changes)


def a_batch(dims: int = 3, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images of mean 0 and deviation 1, and three labels painted where they are bright."""
    torch.manual_seed(0)
    coarse = torch.randn(count, 1, *(5, 6, 4)[:dims])
    image = torch.nn.functional.interpolate(
        coarse, (20, 24, 16)[:dims], mode="trilinear" if dims == 3 else "bilinear", align_corners=True
    )
    image = (image - image.mean()) / image.std()
    return image, (image > 0).byte() + (image > 1).byte() + 253 * (image > 2).byte()


@pytest.mark.parametrize("dims", [2, 3])
def test_without_chance_nothing_changes(dims):
    image, labels = a_batch(dims)
    changed, moved = BatchAugmentation(only(dims))(image, labels, range(4))
    assert torch.equal(changed, image)
    assert torch.equal(moved, labels)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_patch_is_changed_alike_in_any_company_and_its_source_stays(dims):
    image, labels = a_batch(dims)
    before = image.clone()
    change = BatchAugmentation(ranges([0], spacing_mm=(1.0,) * dims), seed=5)
    together = change(image, labels, [7, 8, 9, 10])
    alone = change(image[2:3], labels[2:3], [9])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[2:3], other, rtol=1e-5, atol=1e-5)
    assert torch.equal(image, before)
    again = change(image, labels, [7, 8, 9, 10])
    assert torch.equal(again[0], together[0])
    assert not torch.equal(BatchAugmentation(change.ranges, seed=6)(image, labels, [7, 8, 9, 10])[0], together[0])


def test_mirrored_patches_are_flipped_ones_about_half_of_the_time():
    image, labels = a_batch(count=1)
    change, flips = BatchAugmentation(replace(only(mirror=0.5), mirror_axes=(1,))), 0
    for number in range(200):
        changed, moved = change(image, labels, [number])
        flipped = bool((changed != image).any())
        assert torch.equal(changed, image.flip(3) if flipped else image)
        assert torch.equal(moved, labels.flip(3) if flipped else labels)
        flips += flipped
    assert 70 < flips < 130


def test_sides_are_never_exchanged_where_labels_have_sides():
    image, labels = a_batch()
    changed, _ = BatchAugmentation(replace(only(mirror=1.0), mirror_axes=()))(image, labels, range(4))
    assert torch.equal(changed, image)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_affine_map_is_monais_with_the_same_matrix(dims, monkeypatch):
    change = only(dims, affine=1.0)
    matrix = augment_batch._matrix(change, np.random.default_rng(3))
    monkeypatch.setattr(augment_batch, "_matrix", lambda *_: matrix)
    image, labels = a_batch(dims, count=2)
    changed, _ = BatchAugmentation(change)(image, labels, range(2))
    theirs = Affine(affine=matrix, padding_mode="zeros", image_only=True, mode="bilinear")
    torch.testing.assert_close(changed[1], theirs(image[1]).as_tensor(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_labels_follow_the_image_and_stay_whole(dims):
    _, labels = a_batch(dims)
    painted = labels.clamp(max=2).float()  # an image that is its labels
    changed, moved = BatchAugmentation(only(dims, affine=1.0, mirror=0.5))(painted, labels, range(4))
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())
    assert moved.dtype == torch.uint8
    clear = (changed - changed.round()).abs() < 1e-3  # no border between labels runs through these voxels
    assert clear.float().mean() > 0.4
    agree = (changed.round() == moved.clamp(max=2))[clear].float().mean()
    assert agree > 0.995
    assert (changed - moved.clamp(max=2)).abs().max() <= 2


def test_matrices_are_drawn_from_the_ranges_of_monais():
    mine = np.stack([augment_batch._matrix(ranges([]), np.random.default_rng(n)) for n in range(1500)])
    grid = augmentation(ranges([])).transforms[0].rand_affine.rand_affine_grid
    grid.set_random_state(0)
    theirs = []
    for _ in range(1500):
        grid(spatial_size=(2, 2, 2))
        theirs.append(grid.get_transformation_matrix().numpy())
    theirs = np.stack(theirs)
    np.testing.assert_allclose(mine.mean(0), theirs.mean(0), atol=0.25)  # translations have a deviation of 2.3 voxels
    np.testing.assert_allclose(mine.mean(0)[:3, :3], theirs.mean(0)[:3, :3], atol=0.03)
    np.testing.assert_allclose(mine.std(0), theirs.std(0), rtol=0.08, atol=0.005)


@pytest.mark.parametrize(
    ("chance", "measure"),
    [
        ("noise", lambda before, after: float((after - before).std())),
        ("blur", lambda before, after: float(after.std() / before.std())),
        ("factor", lambda before, after: float(after.std() / before.std())),
        ("offset", lambda before, after: float((after - before).mean())),
        ("low_resolution", lambda before, after: float((after - before).std())),
        ("contrast", lambda before, after: float(((after - before.mean()) ** 3).mean())),
        ("bias", lambda before, after: float((after / before).median())),
    ],
)
def test_what_happens_to_intensities_is_distributed_as_with_monai(chance, measure):
    change = only(**{chance: 1.0})
    image, labels = a_batch(count=1)
    image = image + 0.01
    batchwise, patchwise = BatchAugmentation(change), augmentation(change)
    patchwise.set_random_state(1)
    found = []
    for number in range(300):
        after, same = batchwise(image, labels, [number])
        assert torch.equal(same, labels)
        theirs = patchwise({"image": image[0].numpy(), "labels": labels[0].numpy()})["image"]
        found.append((measure(image, after), measure(image[0], theirs)))
    mine, theirs = np.array(found).T
    spread = theirs.std()
    assert spread > 0
    assert abs(mine.mean() - theirs.mean()) < 0.3 * spread
    assert 0.85 < mine.std() / spread < 1.18
    np.testing.assert_allclose(np.quantile(mine, [0.05, 0.95]), np.quantile(theirs, [0.05, 0.95]), atol=0.3 * spread)


def test_blur_and_contrast_are_monais_own():
    images, _ = a_batch(count=2)
    sigmas, gammas = np.array([[0.5, 0.9, 0.7], [1.0, 0.4, 0.6]]), np.array([[0.7], [1.5]])
    blurred, bent = augment_batch._blur(images, sigmas), augment_batch._gamma(images, gammas)
    for row in range(2):
        expected = GaussianSmooth(sigma=sigmas[row].tolist())(images[row])
        torch.testing.assert_close(blurred[row], torch.as_tensor(expected))
        expected = AdjustContrast(float(gammas[row, 0]), retain_stats=True)(images[row])
        torch.testing.assert_close(bent[row], torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def test_each_change_happens_as_often_as_it_should():
    image, labels = a_batch(count=1)
    for chance in ("noise", "contrast", "affine"):
        change = BatchAugmentation(only(**{chance: getattr(ranges([]), chance)}))
        count = sum(bool((change(image, labels, [number])[0] != image).any()) for number in range(300))
        expected = 300 * getattr(ranges([]), chance)
        assert abs(count - expected) < 4 * np.sqrt(expected), chance

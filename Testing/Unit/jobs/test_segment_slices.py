"""A 2D network from image to labels: what it does to a volume is known, however the volume lies and is stored."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.imaging.image import Image
from medseg.jobs.run.segment import segment_case
from medseg.spec.job import Options
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest, SliceRule

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
SHAPE = (9, 7, 6)  # along R, A, S
SPACING = (0.8, 1.5, 4.0)
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


class Threshold(torch.nn.Module):
    """Label 1 above 100."""

    def forward(self, slices):
        return torch.cat([torch.full_like(slices, 100.0), slices], 1)


class Steps(torch.nn.Module):
    """Label 1 where the next row is lower, label 2 where it is not but the next column is; the last repeats itself."""

    def forward(self, slices):
        rows = torch.cat([slices[:, :, 1:], slices[:, :, -1:]], 2)
        columns = torch.cat([slices[..., 1:], slices[..., -1:]], 3)
        return torch.cat([torch.full_like(slices, 0.5), 2.0 * (slices > rows), 1.0 * (slices > columns)], 1)


class Middle(torch.nn.Module):
    """Label 1 where the slice before is lower and the slice after is higher."""

    def forward(self, slices):
        before, here, after = slices[:, 0:1], slices[:, 1:2], slices[:, 2:3]
        return torch.cat([torch.full_like(here, 0.5), 1.0 * ((before < here) & (here < after))], 1)


def bundle(axis, orientation="RAS", labels=1, window=None, **rule):
    shape = list(window or (64, 64, 64))
    shape[axis] = 1
    manifest = ModelManifest(
        model_id="formula",
        title="A formula",
        version="1",
        description="",
        network="formula",
        labels=tuple(
            LabelSpec(value=n, name=f"{n}", color=(1, 2, 3), category=ANATOMY, type=ANATOMY)
            for n in range(1, labels + 1)
        ),
        channels=(ChannelSpec(name="CT", modality="CT"),),
        orientation=orientation,
        intensity=IntensityRule(kind="none"),
        window_shape=tuple(shape),
        slices=SliceRule(axis=axis, **rule),
        anatomy="any",
        intended_use="tests",
        licence="none",
        authors="nobody",
        training_data="none",
    )
    return Bundle(Path("nowhere"), manifest)


def stored(array, order, signs):
    """The same patient's voxels with other axes: those of R, A, S in this order, some backwards."""
    turned = array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
        affine[row, column] = sign * SPACING[row]
        affine[row, 3] = SPACING[row] * (SHAPE[row] - 1) if sign < 0 else 0.0
    return turned, affine


@pytest.fixture(scope="module")
def volume():
    """Whole numbers along R, A, S, no two neighbours alike."""
    return np.random.default_rng(0).permutation(np.prod(SHAPE)).reshape(SHAPE).astype(np.float32)


def segment(array, affine, model, network, **options):
    found = segment_case([Image(array[None], affine)], model, Options(device="cpu", **options), load=lambda _: network)
    np.testing.assert_array_equal(found.labels.affine, affine)
    return found.labels.array[0]


@pytest.mark.parametrize("fit", ["windows", "resize"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_threshold_is_a_threshold_across_every_axis_in_every_orientation(volume, axis, fit):
    """Windows smaller and larger than a slice; resized to the slice's own size nothing is interpolated."""
    window = SHAPE if fit == "resize" else (5, 16, 4)
    model = bundle(axis, fit=fit, window=window)
    for order, signs in ORIENTATIONS:
        array, affine = stored(volume, order, signs)
        np.testing.assert_array_equal(segment(array, affine, model, Threshold()), array > 100)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
def test_a_network_sees_its_rows_and_columns_whatever_way_the_volume_is_stored(volume, axis, orientation):
    """The formula on the volume in the model's own orientation is the truth; its voxels are then found by place."""
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    order, signs = zip(*(letters[letter] for letter in orientation), strict=True)
    native, _ = stored(volume, order, signs)
    rows, columns = (a for a in range(3) if a != axis)
    edge = [native.take(np.minimum(np.arange(n) + 1, n - 1), axis=a) for a, n in enumerate(native.shape)]
    truth = np.where(native > edge[rows], 1, np.where(native > edge[columns], 2, 0))
    assert set(np.unique(truth)) == {0, 1, 2}
    place = dict(zip(native.ravel(), truth.ravel(), strict=True))  # the values are unique
    model = bundle(axis, orientation, labels=2, window=native.shape)
    for stored_order, stored_signs in ORIENTATIONS:
        array, affine = stored(volume, stored_order, stored_signs)
        expected = np.vectorize(place.__getitem__)(array)
        np.testing.assert_array_equal(segment(array, affine, model, Steps()), expected)


@pytest.mark.parametrize(("axis", "orientation"), [(2, "RAS"), (2, "RAI"), (0, "SPL"), (1, "LIP")])
def test_the_slice_before_and_the_slice_after_are_those_along_the_models_axis(volume, axis, orientation):
    direction = 1 if "S" in orientation else -1
    last = SHAPE[2] - 1
    upper = volume[..., (np.arange(SHAPE[2]) + direction).clip(0, last)]
    lower = volume[..., (np.arange(SHAPE[2]) - direction).clip(0, last)]
    truth = (lower < volume) & (volume < upper)
    model = bundle(axis, orientation, context=1)
    for order, signs in ORIENTATIONS[::5]:
        array, affine = stored(volume, order, signs)
        expected, _ = stored(truth, order, signs)
        np.testing.assert_array_equal(segment(array, affine, model, Middle(), window_batch=4), expected)


def test_a_disc_in_slices_of_another_size_keeps_its_place_and_its_area():
    """A cylinder with soft edges, 96 x 80 voxels resized to 61 x 50 and back."""
    i, j, _ = np.indices((96, 80, 3))
    distance = np.hypot((i - 51.3), (j - 33.8) * 1.2)
    array = (100 + 0.5 * (20 - distance)).astype(np.float32)
    model = bundle(2, fit="resize", window=(61, 50, 1))
    labels = segment(array, np.diag([1.0, 1.2, 5.0, 1.0]), model, Threshold())
    inside = array > 100
    assert np.mean(labels != inside) < 0.002
    area = labels.sum() * 1.2 / 3
    assert abs(area - np.pi * 20**2) < 0.01 * area
    middle = np.argwhere(labels[..., 1]).mean(0)
    np.testing.assert_allclose(middle, np.argwhere(inside[..., 1]).mean(0), atol=0.05)

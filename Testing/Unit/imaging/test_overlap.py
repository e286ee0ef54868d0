"""Segments that overlap: no voxel of any is lost in layers, and painting has a stated order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medseg.imaging.image import Image
from medseg.imaging.measure import measure
from medseg.imaging.overlap import as_layers, covered, painted, postprocess_members
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import Code, LabelSpec, OverlapRule
from medseg.spec.postprocess import PostprocessRule
from small_manifest import small_manifest

CODE = Code("SCT", "108369006", "Tumor")


def spec(value, name):
    return LabelSpec(value=value, name=name, color=(value, 2, 3), category=CODE, type=CODE)


def model(values=(1, 2, 4), order=(2, 1, 4), **fields):
    """A model of overlapping segments, in the order of its outputs."""
    labels = tuple(spec(value, f"segment {value}") for value in values)
    return small_manifest(labels=labels, overlapping=OverlapRule(order=order), **fields)


def bits_of(masks):
    """Masks ``(L, I, J, K)`` as bits of one integer a voxel."""
    powers = 1 << np.arange(len(masks), dtype=np.int32)
    return Image(np.tensordot(powers, masks.astype(np.int32), 1)[None])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.05, 0.5, 1.0]), count=st.integers(1, 12))
def test_layers_hold_every_voxel_of_every_segment_and_no_more(seed, share, count):
    rng = np.random.default_rng(seed)
    values = tuple(int(value) for value in rng.permutation(np.arange(1, 40))[:count])
    order = tuple(int(value) for value in rng.permutation(values))
    masks = rng.random((count, 5, 4, 3)) < share
    layers = as_layers(bits_of(masks), model(values, order))
    for value, mask in zip(values, masks, strict=True):
        np.testing.assert_array_equal((layers.array == value).sum(axis=0), mask)


def test_segments_that_do_not_overlap_share_one_layer_and_nested_ones_have_one_each():
    nested = np.zeros((3, 6, 1, 1), dtype=bool)
    nested[0, :5], nested[1, :3], nested[2, :1] = True, True, True
    assert as_layers(bits_of(nested), model()).channel_count == 3
    apart = np.zeros((3, 6, 1, 1), dtype=bool)
    apart[0, :2], apart[1, 2:4], apart[2, 4:] = True, True, True
    flat = as_layers(bits_of(apart), model())
    assert flat.array[:, :, 0, 0].tolist() == [[1, 1, 2, 2, 4, 4]]


def test_painting_puts_each_segment_over_those_before_it():
    masks = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=bool)[:, :, None, None]  # core, whole, active
    manifest = model()
    layers = as_layers(bits_of(masks), manifest)
    assert painted(layers, manifest.painted_labels).array.ravel().tolist() == [2, 1, 4, 2]
    assert covered(layers, manifest.painted_labels) == ("segment 2", "segment 1")
    assert painted(layers, manifest.labels).array.ravel().tolist() == [2, 2, 4, 2]


def test_each_segment_is_measured_whole_where_others_cover_it():
    masks = np.zeros((3, 4, 3, 2), dtype=bool)
    masks[0, :2], masks[1], masks[2, 0] = True, True, True
    manifest = model()
    image = Image(np.arange(24, dtype=np.float32).reshape(1, 4, 3, 2), np.diag([2.0, 2.0, 5.0, 1.0]))
    layers = as_layers(bits_of(masks), manifest)
    rows = measure(Image(layers.array, image.affine), image, manifest.labels)
    for row, mask in zip(rows, masks, strict=True):
        assert row.voxels == mask.sum()
        assert row.volume_ml == pytest.approx(mask.sum() * 20 / 1000)
        assert row.mean_intensity == pytest.approx(image.array[0][mask].mean())


def test_every_segment_is_tidied_as_if_there_were_no_other():
    masks = np.random.default_rng(3).random((3, 12, 10, 8)) < 0.06
    tidied = postprocess_members(bits_of(masks), PostprocessRule(keep_largest=True), 3).array[0]
    for number, mask in enumerate(masks):
        numbered, count = ndimage.label(mask, np.ones((3, 3, 3)))
        sizes = ndimage.sum_labels(mask, numbered, range(1, count + 1))
        assert sorted(sizes)[-1] > sorted(sizes)[-2]
        np.testing.assert_array_equal((tidied >> number) & 1, numbered == 1 + np.argmax(sizes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": (1, 1)}, "values that differ"),
        ({"values": tuple(range(1, 33)), "order": tuple(range(1, 33))}, "1 to 31 values"),
        ({"order": (1, 2)}, r"an order of the values of all labels, \[1, 2, 4\]"),
    ],
)
def test_a_manifest_refuses_outputs_that_cannot_be_told_apart(change, message):
    with pytest.raises(ManifestError, match=message):
        model(**change)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_a_threshold_that_everything_or_nothing_reaches_is_refused(threshold):
    with pytest.raises(ManifestError, match="a number between 0 and 1"):
        OverlapRule(threshold=threshold, order=(1,))

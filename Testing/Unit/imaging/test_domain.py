"""What a scan is not, and what cannot be a result, is said in one sentence."""

import numpy as np
import pytest

from medseg.imaging.domain import check_boxes, check_contrast, check_scan, check_volumes
from medseg.imaging.image import Image
from medseg.imaging.locate import LocatedBox
from medseg.imaging.registration import Template, looks_like_ct
from medseg.spec.locating import BoxSpec, LocateRule
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec, SliceRule
from small_manifest import small_manifest

CODE = Code("SCT", "85756007", "Tissue")


def label(value, name):
    return LabelSpec(value=value, name=name, color=(9, 9, 9), category=CODE, type=CODE)


def box(side, value):
    low = (-30.0 if side == "left" else 2.0, -20.0, -20.0)
    return BoxSpec(
        name=f"{side} thing",
        low_mm=low,
        high_mm=(low[0] + 28, 20.0, 20.0),
        labels=(label(value, f"{side} part"),),
        volume_ml=(1.5, 6.0),
    )


RULE = LocateRule(
    template="colin27", boxes=(box("left", 1), box("right", 2)), contrast="T1", slice_mm=2.0, asymmetry=0.3
)
MODEL = small_manifest(labels=(label(1, "part"),), locate=RULE, anatomy="thing")


def ct(rng):
    values = np.full((1, 24, 24, 24), -1000.0)
    values[:, 6:18, 6:18, 6:18] = rng.normal(40, 15, (12, 12, 12))
    return Image(values, np.eye(4))


def test_a_ct_is_told_by_its_air_and_soft_tissue():
    rng = np.random.default_rng(0)
    assert looks_like_ct(ct(rng))
    assert not looks_like_ct(Image(np.abs(ct(rng).array), np.eye(4)))
    assert not looks_like_ct(Image(rng.normal(0, 1, (1, 24, 24, 24)), np.eye(4)))
    (words,) = check_scan(ct(rng), MODEL)
    assert "looks like a CT" in words


def radiograph_model(modality="DX"):
    slices = SliceRule(axis=2, fit="resize")
    channels = (ChannelSpec(name="chest", modality=modality),)
    return small_manifest(labels=(label(1, "lung"),), channels=channels, slices=slices, window_shape=(16, 16, 1))


@pytest.mark.parametrize(
    ("image", "model", "count"),
    [
        ("CR", "DX", 0),
        ("DX", "CR", 0),
        ("DX", "DX", 0),
        ("MG", "DX", 1),
        ("CT", "DX", 1),
        ("", "DX", 0),
        ("OT", "DX", 0),
    ],
)
def test_a_model_for_radiographs_takes_cr_for_dx_and_is_told_of_others(image, model, count):
    slice_of_it = Image(np.zeros((1, 8, 8, 1)), modality=image)
    found = list(check_scan(slice_of_it, radiograph_model(model)))
    assert len(found) == count
    assert all(f"the image is {image}, and small was made for {model}" in each for each in found)


def test_a_volume_is_told_to_a_model_for_radiographs_and_a_slice_to_one_for_volumes():
    volume, single = Image(np.zeros((1, 8, 8, 8))), Image(np.zeros((1, 8, 8, 1)))
    (words,) = check_scan(volume, radiograph_model())
    assert "a volume of 8 x 8 x 8 voxels" in words
    (words,) = check_scan(single, MODEL)
    assert "only 1 voxel along k" in words
    assert not list(check_scan(single, radiograph_model()))


def test_a_radiograph_is_told_to_a_model_for_ct():
    made_for_ct = small_manifest(labels=(label(1, "liver"),), channels=(ChannelSpec(name="CT", modality="CT"),))
    first, second = check_scan(Image(np.zeros((1, 8, 8, 1)), modality="CR"), made_for_ct)
    assert first.startswith("the image is CR, and")
    assert "only 1 voxel" in second


def test_thick_slices_are_told():
    thick = Image(np.zeros((1, 8, 8, 8)), np.diag([1.0, 1.0, 3.0, 1.0]))
    (words,) = check_scan(thick, MODEL)
    assert "3 mm apart" in words
    assert not list(check_scan(Image(thick.array, np.eye(4)), MODEL))


@pytest.mark.parametrize(("medians", "count"), [((10, 50, 90), 0), ((90, 50, 10), 1), ((10, 90, 50), 1)])
def test_the_order_of_three_tissues_tells_t1(medians, count):
    regions = np.zeros((1, 12, 12, 12), dtype=np.uint8)
    for value in (1, 2, 3):
        regions[:, 4 * value - 4 : 4 * value] = value
    values = np.choose(regions, [0, *medians]).astype(np.float32)
    template = Template(Image(values, np.eye(4)), Image(regions, np.eye(4)))
    moved = np.eye(4)
    moved[:3, 3] = (3.0, -2.0, 5.0)
    found = list(check_contrast(Image(values, moved), template, moved, MODEL))
    assert len(found) == count
    assert all("not that of T1" in words for words in found)


def test_a_box_beyond_the_image_is_told():
    boxes = [
        LocatedBox(spec, np.eye(4), np.zeros(3), np.ones(3), share)
        for spec, share in zip(RULE.boxes, (1.0, 0.8), strict=True)
    ]
    (words,) = check_boxes(boxes)
    assert words.startswith("20% of the box of the right thing")


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (3.0, 2.8, []),
        (0.03, 2.8, ["0.03 ml of the left thing is not a result", "differ by"]),
        (3.0, 1.4, ["right thing has 1.40 ml", "differ by"]),
        (0.0, 0.0, ["0.00 ml of the left thing is not a result", "0.00 ml of the right thing is not a result"]),
    ],
)
def test_volumes_that_no_adult_has_are_told(left, right, words):
    labels = MODEL.located_labels
    found = list(check_volumes({"left part": left, "right part": right}, labels, MODEL))
    assert len(found) == len(words)
    for sentence, part in zip(found, words, strict=True):
        assert part in sentence


def test_a_crop_has_the_volume_of_one_side():
    assert not list(check_volumes({"part": 3.0}, MODEL.labels, MODEL))
    (words,) = check_volumes({"part": 0.03}, MODEL.labels, MODEL)
    assert "0.03 ml of the thing is not a result" in words

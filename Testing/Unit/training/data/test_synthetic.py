"""Images drawn from label maps: what is known of them without looking at yesterday's."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medseg.io.dataset import CaseFiles, describe_label_maps
from medseg.spec.errors import JobError, ManifestError
from medseg.training.data.label_maps import LabelMap, load_label_maps
from medseg.training.data.synthetic import SyntheticImages, held_out_cases
from medseg.training.planning.synthesis import Synthesis, SynthesisRanges, Tissue, plain_tissues, read_tissues

SHAPE = (12, 10, 8)
STILL = SynthesisRanges(
    turn=0,
    scale=0,
    shear=0,
    shift_mm=0,
    bend_mm=0,
    mirrored=0,
    familiar=0,
    deviation=0,
    stripped=0,
    thick=0,
    blur_mm=(1e-6, 1e-6),
    bias=0,
    noise=0,
    gamma=0,
)
LEFT, RIGHT, SKULL, FLUID = range(1, 5)
TISSUES = (
    Tissue(value=LEFT, label=1, group="organ", mirror=RIGHT, central=True, brightness={"bright": 0.9, "dark": 0.1}),
    Tissue(value=RIGHT, label=2, group="organ", mirror=LEFT, central=True, brightness={"bright": 0.9, "dark": 0.1}),
    Tissue(value=SKULL, inside=False, brightness={"bright": 0.1, "dark": 0.9}),
    Tissue(value=FLUID, rim=True),
)


def a_map(spacing=1.0, shape=SHAPE) -> LabelMap:
    """An organ in two halves, off the middle from front to back, with skull on top of it and fluid below."""
    tissue = torch.zeros(shape, dtype=torch.uint8)
    half = shape[0] // 2
    tissue[2:half, 2:7, 2:6] = LEFT
    tissue[half : shape[0] - 2, 2:7, 2:6] = RIGHT
    tissue[2 : shape[0] - 2, 2:7, 6:] = SKULL
    tissue[2 : shape[0] - 2, 2:7, :2] = FLUID
    centre = (np.array(shape) - 1) / 2
    return LabelMap("a map", tissue, (spacing,) * 3, centre)


def images(ranges=STILL, shape=SHAPE, spacing=1.0, **choices) -> SyntheticImages:
    return SyntheticImages([a_map()], Synthesis(tissues=TISSUES, ranges=ranges), shape, (spacing,) * 3, **choices)


def test_an_image_that_is_not_moved_has_the_labels_of_its_map():
    image, labels = images().draw(0)
    assert image.shape == labels.shape == (1, *SHAPE)
    tissue = a_map().tissue
    assert torch.equal(labels[0], torch.where(tissue <= RIGHT, tissue, 0))


def test_without_a_scanner_a_tissue_has_one_brightness_and_its_group_the_same():
    image, _ = images().draw(0)
    tissue = a_map().tissue
    for value in (SKULL, FLUID):
        assert float(image[0][tissue == value].std()) == pytest.approx(0, abs=1e-6)
    organ = image[0][(tissue == LEFT) | (tissue == RIGHT)]
    assert float(organ.std()) == pytest.approx(0, abs=1e-6)
    assert len({round(float(image[0][tissue == value][0]), 4) for value in (0, LEFT, SKULL, FLUID)}) == 4


def test_in_a_mirrored_image_left_and_right_change_places():
    _, labels = images(replace(STILL, mirrored=1)).draw(0)
    tissue = a_map().tissue
    assert torch.equal(labels[0], torch.where(tissue <= RIGHT, tissue, 0))  # the map is its own mirror image
    shifted = replace(a_map(), tissue=a_map().tissue.roll(1, 0))
    mirrored = SyntheticImages(
        [shifted], Synthesis(tissues=TISSUES, ranges=replace(STILL, mirrored=1)), SHAPE, (1, 1, 1)
    )
    other = a_map().tissue.roll(-1, 0)
    assert torch.equal(mirrored.draw(0)[1][0], torch.where(other <= RIGHT, other, 0))


def test_voxels_of_half_the_size_show_half_of_the_field_of_view():
    _, labels = images(spacing=0.5).draw(0)
    inner = a_map().tissue[3:9, 3:8, 2:6]  # nearest: each voxel of the map stands twice along an axis
    expected = inner.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    seen = torch.where(expected <= RIGHT, expected, 0)
    assert torch.equal(labels[0, :, 1:-1], seen[:, :8])


def test_stripping_leaves_nothing_outside_the_organ():
    stripped = replace(STILL, stripped=1, familiar=1)
    tissue = a_map().tissue
    rims = set()
    for number in range(8):
        image, _ = images(stripped).draw(number)
        assert float(image[0][tissue == SKULL].max()) == float(image.min())
        rims.add(bool(image[0][tissue == FLUID].max() > image.min()))
    assert rims == {False, True}  # some software leaves the fluid


def test_an_image_around_a_known_contrast_has_its_order_of_brightness():
    tissue = a_map().tissue
    orders = set()
    for number in range(8):
        image, _ = images(replace(STILL, familiar=1)).draw(number)
        orders.add(bool(image[0][tissue == LEFT].mean() > image[0][tissue == SKULL].mean()))
    assert orders == {False, True}  # both contrasts


@pytest.mark.parametrize("number", range(6))
def test_every_image_is_finite_between_0_and_1_and_follows_from_its_number(number):
    one, labels = images(SynthesisRanges(), seed=3).draw(number)
    again, same = images(SynthesisRanges(), seed=3).draw(number)
    assert torch.equal(one, again)
    assert torch.equal(labels, same)
    assert bool(torch.isfinite(one).all())
    assert 0 <= float(one.min()) < float(one.max()) <= 1
    assert not torch.equal(one, images(SynthesisRanges(), seed=3).draw(number + 1)[0])


def test_noise_alone_moves_no_label():
    _, labels = images(replace(STILL, noise=0.2, bias=1, deviation=0.3, thick=1, blur_mm=(1, 2))).draw(0)
    assert torch.equal(labels, images().draw(0)[1])


def test_what_is_scored_on_is_no_image_to_learn_from():
    synthesis = Synthesis(tissues=TISSUES)
    (case,) = held_out_cases([a_map()], synthesis, SHAPE, (1, 1, 1), seed=0)
    (again,) = held_out_cases([a_map()], synthesis, SHAPE, (1, 1, 1), seed=0)
    assert np.array_equal(case.image, again.image)
    assert case.known.tolist() == [True] * 3
    learned = SyntheticImages([a_map()], synthesis, SHAPE, (1, 1, 1), seed=0)
    assert all(not np.array_equal(case.image, learned.draw(number)[0]) for number in range(5))


def write_map(path: Path, array: np.ndarray, affine=None) -> CaseFiles:
    nibabel.save(nibabel.Nifti1Image(array.astype(np.uint8), np.eye(4) if affine is None else affine), path)
    return CaseFiles(path.name, path, path)


def test_maps_are_turned_so_that_the_first_axis_goes_to_the_right(tmp_path):
    tissue = a_map().tissue.numpy().copy()
    tissue[2, 2, 2] = 0  # so that no axis is its own mirror image
    synthesis = Synthesis(tissues=TISSUES)
    straight = write_map(tmp_path / "straight.nii.gz", tissue)
    turned = write_map(
        tmp_path / "turned.nii.gz",
        tissue[::-1].transpose(1, 0, 2),
        np.array([[0, -1, 0, 11], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=float),
    )
    one, other = load_label_maps([straight, turned], synthesis, torch.device("cpu"))
    assert torch.equal(one.tissue, other.tissue)
    assert torch.equal(one.tissue, torch.from_numpy(tissue))
    assert one.centre.tolist() == other.centre.tolist() == [5.5, 4.0, 3.5]


def test_a_map_with_a_value_that_is_no_tissue_is_left_out_and_named(tmp_path):
    strange = a_map().tissue.numpy().copy()
    strange[0, 0, 0] = 77
    files = [write_map(tmp_path / "good.nii.gz", a_map().tissue.numpy()), write_map(tmp_path / "bad.nii.gz", strange)]
    problems: list[str] = []
    (kept,) = load_label_maps(files, Synthesis(tissues=TISSUES), torch.device("cpu"), on_problem=problems.append)
    assert kept.name == "good.nii.gz"
    assert "bad.nii.gz" in problems[0]
    assert "[77]" in problems[0]
    with pytest.raises(JobError, match="no label map can be drawn from"):
        load_label_maps(files[1:], Synthesis(tissues=TISSUES), torch.device("cpu"))


def test_tissues_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="no pair"):
        Synthesis(tissues=(Tissue(value=1, mirror=2), Tissue(value=2)))
    with pytest.raises(ManifestError, match="twice"):
        Synthesis(tissues=(Tissue(value=1), Tissue(value=1)))
    with pytest.raises(ManifestError, match="a part 0"):
        SynthesisRanges(stripped=2)
    path = tmp_path / "tissues.json"
    path.write_text('{"labels": ["a", "b"], "tissues": [{"value": 3, "label": 1}]}')
    with pytest.raises(JobError, match="each of the 2 labels"):
        read_tissues(path)


def test_the_tissues_of_the_deep_brain_are_in_order():
    meaning = read_tissues(Path(__file__).parents[4] / "Resources" / "Training" / "brain-deep.tissues.json")
    sided = {name for name in meaning.labels if name.startswith(("left", "right"))}
    assert {name.replace("left", "right") for name in sided} == {name for name in sided if name.startswith("right")}
    names = {tissue.value: meaning.labels[tissue.label - 1] for tissue in meaning.tissues if tissue.label}
    assert names[17] == "left hippocampus"  # FreeSurfer's numbers
    assert names[53] == "right hippocampus"
    Synthesis(tissues=meaning.tissues, ranges=meaning.ranges)


def test_without_a_word_every_value_is_a_label_of_its_own():
    meaning = plain_tissues([2, 5], {5: "liver"})
    assert meaning.labels == ("label 2", "liver")
    assert [(tissue.value, tissue.label) for tissue in meaning.tissues] == [(2, 1), (5, 2)]
    assert meaning.ranges.mirrored == 0


def test_a_folder_of_maps_alone_is_a_data_set_and_an_empty_one_is_refused(tmp_path):
    with pytest.raises(JobError, match="holds no label map"):
        describe_label_maps(tmp_path)
    write_map(tmp_path / "one.nii.gz", a_map().tissue.numpy())
    (tmp_path / "tissues.json").write_text("{}")
    assert list(describe_label_maps(tmp_path).cases) == ["one"]

"""Scores against closed forms."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.jobs.scoring.evaluate import check_same_grid, evaluate, evaluate_pair, summarise
from medseg.spec.errors import ImageError, JobError, OutputExists

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def cube(start, *, value=1, side=8):
    array = np.zeros((1, 24, 24, 16), dtype=np.uint8)
    array[0, start : start + side, 6 : 6 + side, 4:10] = value
    return Image(array, AFFINE)


def test_equal_labels_have_perfect_scores():
    (scores,) = evaluate_pair(cube(5), cube(5), [1])
    assert (scores.dice, scores.surface_dice, scores.hd95_mm) == (1, 1, 0)
    assert scores.volume_ml == pytest.approx(8 * 8 * 6 * 2 / 1000)
    assert scores.volume_difference_ml == 0


def test_a_cube_moved_by_two_of_eight_voxels_overlaps_by_three_quarters():
    (scores,) = evaluate_pair(cube(5), cube(7), [1])
    assert scores.dice == pytest.approx(6 / 8)
    assert scores.hd95_mm == pytest.approx(2)
    assert 0 < scores.surface_dice < 1


def test_distances_are_in_millimetres_along_the_anisotropic_axis():
    moved = Image(np.roll(cube(5).array, 2, axis=3), AFFINE)
    (scores,) = evaluate_pair(moved, cube(5), [1])
    assert scores.hd95_mm == pytest.approx(4)


def test_a_label_missing_from_both_agrees_and_has_no_distance():
    (scores,) = evaluate_pair(cube(5), cube(5), [2])
    assert (scores.dice, scores.surface_dice) == (1, 1)
    assert math.isnan(scores.hd95_mm)


def test_a_label_missing_from_one_scores_nothing():
    (scores,) = evaluate_pair(cube(5, value=2), cube(5), [1])
    assert (scores.dice, scores.surface_dice) == (0, 0)
    assert math.isnan(scores.hd95_mm)
    assert scores.volume_difference_percent == -100


def test_a_mask_that_fills_the_volume_still_has_a_surface():
    full = Image(np.ones((1, 6, 6, 6), dtype=np.uint8))
    (scores,) = evaluate_pair(full, full, [1])
    assert (scores.dice, scores.surface_dice, scores.hd95_mm) == (1, 1, 0)


def test_the_mean_leaves_out_what_is_not_a_number():
    rows = [*evaluate_pair(cube(5), cube(7), [1]), *evaluate_pair(cube(5, value=2), cube(5), [1])]
    (mean,) = summarise(rows)
    assert mean.dice == pytest.approx(0.375)
    assert mean.hd95_mm == pytest.approx(2)


def test_folders_are_matched_by_name_and_the_rest_is_named(tmp_path):
    for folder, names in (("p", ("a.nii.gz", "b.nrrd", "x.nii")), ("r", ("a.nrrd", "b.nii.gz", "y.mha"))):
        (tmp_path / folder).mkdir()
        for name in names:
            write_image(tmp_path / folder / name, cube(5))
    result = evaluate(tmp_path / "p", tmp_path / "r")
    assert [row.case for row in result.rows] == ["a", "b"]
    assert [path.rsplit("/", 1)[1] for path in result.unmatched] == ["x.nii", "y.mha"]
    assert result.mean_dice() == 1


def test_the_csv_holds_every_row_and_the_mean_and_is_not_replaced_unasked(tmp_path):
    for name, start in (("p.nii", 5), ("r.nii", 7)):
        write_image(tmp_path / name, cube(start))
    result = evaluate(tmp_path / "p.nii", tmp_path / "r.nii")
    result.write_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["p", "mean"]
    assert float(rows[0]["dice"]) == 0.75
    with pytest.raises(OutputExists, match=r"scores\.csv"):
        result.write_csv(tmp_path / "scores.csv")


def test_grids_that_differ_are_refused_with_both_names_and_values():
    other = Image(cube(5).array, np.diag([1.0, 1.0, 2.1, 1.0]))
    with pytest.raises(ImageError, match=r"one\.nii.*two\.nii.*2\.0.*2\.1"):
        check_same_grid(cube(5), other, "one.nii", "two.nii")
    small = Image(cube(5).array[:, :-1], AFFINE)
    with pytest.raises(ImageError, match=r"24, 24, 16.*23, 24, 16"):
        check_same_grid(cube(5), small, "one.nii", "two.nii")


def test_a_file_and_a_folder_are_not_a_pair(tmp_path):
    write_image(tmp_path / "a.nii", cube(5))
    with pytest.raises(JobError, match="two of a kind"):
        evaluate(tmp_path / "a.nii", tmp_path)
    with pytest.raises(JobError, match="no such file"):
        evaluate(tmp_path / "a.nii", tmp_path / "b.nii")


def test_scores_of_a_slice_are_those_of_its_outline():
    """A disc grown by 3 pixels: of 2D outlines, all of the surface is 3 mm off, though most pixels lie on both."""
    i, j = np.ogrid[:64, :64]
    far = np.hypot(i - 32, j - 32)
    small, large = (Image((far < radius)[None, :, :, None].astype(np.uint8)) for radius in (20, 23))
    (scores,) = evaluate_pair(large, small, [1])
    assert scores.surface_dice == 0
    assert scores.hd95_mm == pytest.approx(3, abs=0.5)
    assert scores.area_difference_cm2 == pytest.approx(((far < 23).sum() - (far < 20).sum()) / 100)
    turned = [Image(each.array.transpose(0, 3, 1, 2)) for each in (large, small)]
    assert evaluate_pair(*turned, [1])[0].hd95_mm == scores.hd95_mm


def test_where_the_size_of_pixels_is_unknown_nothing_has_a_length():
    (known,) = evaluate_pair(cube(5), cube(7), [1])
    (scores,) = evaluate_pair(cube(5), replace(cube(7), spacing_known=False), [1])
    assert scores.dice == known.dice
    assert scores.volume_difference_percent == known.volume_difference_percent
    assert all(math.isnan(each) for each in (scores.hd95_mm, scores.surface_dice, scores.volume_ml, scores.area_cm2))

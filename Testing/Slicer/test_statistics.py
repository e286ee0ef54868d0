"""The numbers of the table are those of closed forms, on every grid and under every straight transform."""

import csv
import math

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.imaging.image import Image
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.statistics import (
    SegmentStatistics,
    add_statistics_table,
    statistics_steps,
    surface_area_mm2,
    write_statistics,
)
from medseg.spec.errors import ImageError, OutputExists
from mrml_nodes import volume_node_from_image


def ball(radius_mm, spacing):
    """A mask of a ball, with a voxel of background around it at least."""
    half = [int(radius_mm / step) + 2 for step in spacing]
    grid = np.ogrid[tuple(slice(-n, n + 1) for n in half)]
    inside = sum((axis * step) ** 2 for axis, step in zip(grid, spacing, strict=True)) <= radius_mm**2
    return Image(inside[None], np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 2.0), (0.5, 1.5, 1.0)])
def test_the_surface_of_a_ball_is_four_pi_r_squared(spacing):
    assert surface_area_mm2(ball(20.0, spacing)) == pytest.approx(4 * math.pi * 20.0**2, rel=0.01)


def test_the_surface_of_a_box_is_near_that_of_its_six_sides():
    """Thirteen directions cannot see a flat side exactly; edges are rounded off."""
    mask = np.zeros((42, 32, 22), dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    truth = 2 * (40 * 30 + 40 * 20 * 1.5 + 30 * 20 * 1.5)
    assert surface_area_mm2(Image(mask[None], np.diag([1, 1, 1.5, 1.0]))) == pytest.approx(truth, rel=0.12)


def test_the_surface_does_not_depend_on_the_order_and_direction_of_axes(affines):
    found = []
    mask = ball(9.0, (0.7, 1.25, 3.0)).array
    for affine in affines[::5]:
        found.append(surface_area_mm2(Image(mask, affine)))
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


def test_the_surface_of_a_sheared_mask_is_that_of_the_sheared_body():
    """A ball of voxels sheared becomes an ellipsoid; its surface by Knud Thomsen's formula, good to 1.1 %."""
    shear = np.eye(4)
    shear[0, 1] = 1.0
    mask = ball(18.0, (1.0, 1.0, 1.0)).array
    a, b, c = 18.0 * np.linalg.svd(shear[:3, :3], compute_uv=False)
    p = 1.6075
    truth = 4 * math.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3) ** (1 / p)
    assert surface_area_mm2(Image(mask, shear)) == pytest.approx(truth, rel=0.05)


@pytest.fixture
def grey(array, affines):
    """A volume in which every voxel has a value of its own."""
    return Image(np.arange(array.size, dtype=np.int16).reshape(array.shape), affines[-1])


def test_voxels_volume_mean_and_deviation_are_those_of_numpy(scene, array, specs, grey):
    volume = volume_node_from_image(scene, grey, "volume")
    node = add_segmentation(scene, Image(array, grey.affine), specs, name="organs", reference_node=volume)
    rows = list(statistics_steps(node, volume))
    assert [row.segment_id for row in rows] == ["Segment_1", "Segment_2", "Segment_3"]
    assert [row.name for row in rows] == [spec.name for spec in specs]
    for row, value in zip(rows[:2], (1, 2), strict=True):
        inside = grey.array[array == value].astype(float)
        assert row.voxels == inside.size
        assert row.volume_ml == pytest.approx(inside.size * 0.7 * 1.25 * 3 / 1000)
        assert row.mean == pytest.approx(inside.mean())
        assert row.std == pytest.approx(inside.std(ddof=1))


def test_a_segment_without_voxels_has_no_volume_and_no_mean(scene, array, specs, grey):
    volume = volume_node_from_image(scene, grey, "volume")
    node = add_segmentation(scene, Image(array, grey.affine), specs, name="organs", reference_node=volume)
    empty = list(statistics_steps(node, volume))[2]
    assert (empty.voxels, empty.volume_ml, empty.surface_mm2) == (0, 0.0, 0.0)
    assert math.isnan(empty.mean)
    assert math.isnan(empty.std)


def test_without_a_volume_there_are_no_means(scene, array, specs):
    first = next(statistics_steps(add_segmentation(scene, Image(array), specs, name="organs")))
    assert first.voxels == 12
    assert math.isnan(first.mean)


@pytest.fixture
def flat(scene, specs):
    """A sheared grid one voxel thick with labels on it, as volume and segmentation; area of a pixel in mm2."""
    labels = np.zeros((1, 9, 8, 1), dtype=np.uint8)
    labels[0, 2:6, 1:4] = 1
    affine = np.array([[0.5, 0.3, 0, 7], [0, 0.8, 0, 8], [0, 0, 4.0, 9], [0, 0, 0, 1]])
    volume = volume_node_from_image(scene, Image(labels.astype(np.float32), affine), "film")
    node = add_segmentation(scene, Image(labels, affine), specs, name="organs", reference_node=volume)
    return volume, node, 0.5 * 0.8


def test_a_single_slice_has_areas_and_neither_volumes_nor_surfaces(flat, hang, motion):
    volume, node, pixel = flat
    transform = hang(volume, motion @ np.diag([2, 2, 2, 1.0]))  # lengths are those of the world
    node.SetAndObserveTransformNodeID(transform.GetID())
    first, empty, _ = statistics_steps(node, volume)
    assert first.area_cm2 == pytest.approx(12 * 4 * pixel / 100)
    assert (first.voxels, first.size_unit, empty.area_cm2) == (12, "cm2", 0.0)
    assert all(math.isnan(each) for row in (first, empty) for each in (row.volume_ml, row.surface_mm2))


def test_a_segmentation_remembers_that_it_was_drawn_on_a_slice(scene, flat):
    volume, node, pixel = flat
    scene.RemoveNode(volume)
    assert next(statistics_steps(node)).area_cm2 == pytest.approx(12 * pixel / 100)


@pytest.mark.parametrize("name", ["chest.PNG", "chest.jpg"])
def test_of_a_picture_there_are_pixels_alone_until_somebody_gives_their_size(flat, name, tmp_path):
    volume, node, _ = flat
    volume.SetSpacing(1, 1, 1)
    volume.AddDefaultStorageNode()
    volume.GetStorageNode().SetFileName(str(tmp_path / name))
    row = next(statistics_steps(node, volume))
    assert (row.voxels, row.size_unit) == (12, "voxels")
    assert math.isnan(row.area_cm2)
    volume.SetSpacing(0.5, 0.5, 1)
    assert next(statistics_steps(node, volume)).size_unit == "cm2"


def test_tables_and_files_of_slices_have_a_column_of_areas_in_place_of_volume_and_surface(scene, flat, tmp_path):
    volume, node, pixel = flat
    rows = list(statistics_steps(node, volume))
    table = add_statistics_table(scene, rows, "Statistics")
    names = [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())]
    assert names == ["Segment", "Segment ID", "Voxels", "Area (cm2)", "Mean intensity", "Std intensity"]
    assert table.GetColumnUnitLabel("Area (cm2)") == "cm2"
    assert table.GetTable().GetValueByName(0, "Area (cm2)").ToDouble() == pytest.approx(12 * pixel / 100)
    write_statistics(tmp_path / "statistics.csv", rows)
    with (tmp_path / "statistics.csv").open(encoding="utf-8", newline="") as stream:
        first = next(csv.DictReader(stream))
    assert float(first["Area (cm2)"]) == pytest.approx(12 * pixel / 100)
    assert not {"Volume (ml)", "Surface (mm2)"} & set(first)


def test_under_a_transform_that_doubles_lengths_volumes_are_eightfold_and_surfaces_fourfold(
    scene, array, specs, grey, hang, motion
):
    volume = volume_node_from_image(scene, grey, "volume")
    node = add_segmentation(scene, Image(array, grey.affine), specs, name="organs", reference_node=volume)
    before = list(statistics_steps(node, volume))
    doubled = motion @ np.diag([2, 2, 2, 1.0])
    transform = hang(volume, doubled)
    node.SetAndObserveTransformNodeID(transform.GetID())
    for old, new in zip(before[:2], list(statistics_steps(node, volume))[:2], strict=True):
        assert new.volume_ml == pytest.approx(8 * old.volume_ml)
        assert new.surface_mm2 == pytest.approx(4 * old.surface_mm2)
        assert new.mean == pytest.approx(old.mean)


def test_a_labelmap_on_another_grid_is_measured_where_it_lies(scene, array, specs):
    """A volume of half the voxel size: every voxel of the segment holds eight of it."""
    fine_affine = np.diag([0.5, 0.5, 0.5, 1.0])
    fine_affine[:3, 3] = -0.25
    shape = tuple(2 * size for size in array.shape[1:])
    fine = Image(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32), fine_affine)
    volume = volume_node_from_image(scene, fine, "volume")
    node = add_segmentation(scene, Image(array), specs, name="organs")
    row = next(statistics_steps(node, volume))
    inside = fine.array[0][np.kron(array[0] == 1, np.ones((2, 2, 2), dtype=bool))]
    assert row.voxels == 12
    assert row.mean == pytest.approx(inside.mean(), abs=1e-5)
    assert row.std == pytest.approx(inside.std(ddof=1), abs=1e-5)


def test_only_the_part_inside_the_volume_has_intensities(scene, array, specs, grey):
    part = Image(grey.array[:, :, :2], grey.affine)
    volume = volume_node_from_image(scene, part, "volume")
    node = add_segmentation(scene, Image(array, grey.affine), specs, name="organs")
    row = next(statistics_steps(node, volume))
    assert row.mean == pytest.approx(part.array[array[:, :, :2] == 1].mean())


def test_a_volume_elsewhere_has_no_intensities_inside(scene, array, specs, grey):
    far = grey.affine.copy()
    far[0, 3] += 1000
    row = next(
        statistics_steps(
            add_segmentation(scene, Image(array, grey.affine), specs, name="organs"),
            volume_node_from_image(scene, Image(grey.array, far), "volume"),
        )
    )
    assert row.voxels == 12
    assert math.isnan(row.mean)


def test_voxels_that_are_no_number_are_left_out(scene, array, specs):
    values = np.ones(array.shape, dtype=np.float32)
    values[0, 1, 1, 0] = np.nan
    volume = volume_node_from_image(scene, Image(values), "volume")
    row = next(statistics_steps(add_segmentation(scene, Image(array), specs, name="organs"), volume))
    assert (row.mean, row.std) == (1.0, 0.0)


def test_overlapping_segments_are_each_measured_whole(scene, array, specs, grey):
    volume = volume_node_from_image(scene, grey, "volume")
    node = add_segmentation(scene, Image(array, grey.affine), specs, name="organs", reference_node=volume)
    merge_segments(node, Image(array, grey.affine), specs[:1])
    rows = list(statistics_steps(node, volume))
    assert rows[0].voxels == rows[-1].voxels == 12
    assert rows[0].mean == rows[-1].mean


def test_a_bent_transform_is_refused_at_once(scene, array, specs, warp):
    node = add_segmentation(scene, Image(array), specs, name="organs")
    warp(node)
    with pytest.raises(ImageError, match="non-linear transform"):
        statistics_steps(node)


ROWS = [
    SegmentStatistics("Segment_1", "Left, hippocampus", 12, 0.5, 34.25, 100.0, 1.5),
    SegmentStatistics("Segment_2", "Liver", 0, 0.0, 0.0, math.nan, math.nan),
]


def test_the_table_has_typed_columns_with_units(scene):
    node = add_statistics_table(scene, ROWS, "Statistics")
    table = node.GetTable()
    assert node.GetNumberOfRows() == 2
    names = [node.GetColumnName(n) for n in range(node.GetNumberOfColumns())]
    assert names[3:5] == ["Volume (ml)", "Surface (mm2)"]
    assert node.GetColumnUnitLabel("Volume (ml)") == "ml"
    kinds = [table.GetColumn(n).GetDataTypeAsString() for n in range(table.GetNumberOfColumns())]
    assert kinds == ["string", "string", "int", "double", "double", "double", "double"]
    assert table.GetValueByName(0, "Volume (ml)").ToDouble() == 0.5
    assert math.isnan(table.GetValueByName(1, "Mean intensity").ToDouble())


def test_the_table_survives_its_file(scene, tmp_path):
    node = add_statistics_table(scene, ROWS, "Statistics")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(tmp_path / "table.tsv"))
    assert node.GetStorageNode().WriteData(node)
    again = scene.AddNewNodeByClass("vtkMRMLTableNode")
    again.AddDefaultStorageNode()
    again.GetStorageNode().SetFileName(str(tmp_path / "table.tsv"))
    assert again.GetStorageNode().ReadData(again)
    assert again.GetTable().GetValueByName(0, "Segment").ToString() == "Left, hippocampus"
    assert again.GetTable().GetValueByName(0, "Surface (mm2)").ToDouble() == 34.25


def test_a_table_of_no_segments_has_its_columns(scene):
    node = add_statistics_table(scene, [], "Statistics")
    assert isinstance(node, slicer.vtkMRMLTableNode)
    assert (node.GetNumberOfColumns(), node.GetNumberOfRows()) == (7, 0)


def test_dice_is_a_column_where_something_was_compared(scene, tmp_path):
    dice = {"Left, hippocampus": 0.75, "of the reference alone": math.nan}
    node = add_statistics_table(scene, ROWS, "Statistics", dice)
    assert node.GetColumnName(7) == "Dice"
    scores = [node.GetTable().GetValueByName(row, "Dice").ToDouble() for row in range(2)]
    assert scores[0] == 0.75
    assert math.isnan(scores[1])
    write_statistics(tmp_path / "statistics.csv", ROWS, dice)
    with (tmp_path / "statistics.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["Dice"] for row in csv.DictReader(stream)] == ["0.75", ""]
    assert add_statistics_table(scene, [], "Statistics", {}).GetNumberOfColumns() == 8


def test_the_csv_file_has_a_row_a_segment_and_is_never_replaced_unasked(tmp_path):
    path = tmp_path / "statistics.csv"
    write_statistics(path, ROWS)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["Segment"] == "Left, hippocampus"
    assert float(rows[0]["Surface (mm2)"]) == 34.25
    assert rows[1]["Mean intensity"] == ""
    with pytest.raises(OutputExists, match="exists already"):
        write_statistics(path, ROWS[:1])
    write_statistics(path, ROWS[:1], overwrite=True)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["statistics.csv"]

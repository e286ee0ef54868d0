"""A volume node and an image are the same voxels at the same place."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import vtk

from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import ImageError
from mrml_nodes import volume_node_from_image


@pytest.fixture
def numbers():
    return np.arange(7 * 6 * 5, dtype=np.int16).reshape(1, 7, 6, 5)


def value_at(image, point):
    """The voxel nearest to a point of the world."""
    index = np.linalg.inv(image.affine) @ [*point, 1]
    i, j, k = np.round(index[:3]).astype(int)
    return image.array[0, i, j, k]


def points_of(image):
    return (image.affine @ [*index, 1] for index in np.ndindex(image.shape))


def test_an_image_comes_back_from_the_scene_as_it_went_in_on_every_grid(scene, numbers, affines):
    for affine in affines:
        node = volume_node_from_image(scene, Image(numbers, affine), "round")
        again = image_from_volume_node(node)
        assert again.array.dtype == numbers.dtype
        np.testing.assert_array_equal(again.array, numbers)
        np.testing.assert_allclose(again.affine, affine, atol=1e-9)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_slicer_and_our_reader_find_the_same_value_at_the_same_place_in_the_same_file(
    tmp_path, load, numbers, affines, suffix
):
    for number, affine in enumerate(affines[::5] + affines[-2:]):
        path = tmp_path / f"{number}{suffix}"
        write_image(path, Image(numbers, affine))
        ours, theirs = read_image(path).image, image_from_volume_node(load(path))
        assert sorted(theirs.array.ravel()) == sorted(ours.array.ravel())
        for point in points_of(ours):
            assert value_at(theirs, point[:3]) == value_at(ours, point[:3])


def test_a_left_handed_file_is_turned_by_slicer_and_still_lies_where_it_lay(tmp_path, load, numbers):
    affine = np.diag([1.0, 1.0, -2.0, 1.0])
    write_image(tmp_path / "left.nrrd", Image(numbers, affine))
    theirs = image_from_volume_node(load(tmp_path / "left.nrrd"))
    assert np.linalg.det(theirs.affine[:3, :3]) > 0
    np.testing.assert_array_equal(theirs.array, numbers[..., ::-1])


def test_linear_parent_transforms_are_part_of_the_affine(scene, numbers, hang, motion, affines):
    node = volume_node_from_image(scene, Image(numbers, affines[3]), "moved")
    outer = np.diag([2.0, 1.0, 1.0, 1.0])
    inner = hang(node, motion)
    hang(inner, outer)
    again = image_from_volume_node(node)
    np.testing.assert_allclose(again.affine, outer @ motion @ affines[3], atol=1e-9)
    np.testing.assert_array_equal(again.array, numbers)


def test_a_volume_under_a_bent_transform_is_refused_with_the_next_step(scene, numbers, warp):
    node = volume_node_from_image(scene, Image(numbers), "volume")
    warp(node)
    with pytest.raises(ImageError, match=r"non-linear transform 'bent'.*harden"):
        image_from_volume_node(node)


def test_the_components_of_a_vector_volume_become_channels(scene):
    colours = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6), dtype=np.uint8)
    node = volume_node_from_image(scene, Image(colours), "colours")
    assert node.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert node.GetImageData().GetNumberOfScalarComponents() == 3
    assert node.GetImageData().GetScalarComponentAsDouble(3, 4, 5, 2) == colours[2, 3, 4, 5]
    np.testing.assert_array_equal(image_from_volume_node(node).array, colours)


def test_an_image_keeps_its_voxels_when_the_volume_is_edited(scene, numbers):
    node = volume_node_from_image(scene, Image(numbers), "edited")
    image = image_from_volume_node(node)
    node.GetImageData().GetPointData().GetScalars().Fill(0)
    np.testing.assert_array_equal(image.array, numbers)


def test_a_volume_without_voxels_is_refused_by_name(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    with pytest.raises(ImageError, match="'hollow' has no voxels"):
        image_from_volume_node(node)


def test_a_volume_of_bits_is_refused(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "bits")
    pixels = vtk.vtkImageData()
    pixels.SetDimensions(8, 1, 1)
    pixels.AllocateScalars(vtk.VTK_BIT, 1)
    node.SetAndObserveImageData(pixels)
    with pytest.raises(ImageError, match="stored as bits"):
        image_from_volume_node(node)


@pytest.mark.parametrize(
    "name",
    ["01_ct_torso_3mm/ct_slab.nii.gz", "06_ms_raw_oblique_aniso/flair.nii.gz", "11_brain_nrrd_roi/brain1_image.nrrd"],
)
def test_slicer_and_our_reader_agree_on_real_scans(real_scan, load, name):
    """Oblique, anisotropic and cropped files from scanners; compared at random voxels."""
    path = real_scan(name)
    ours, theirs = read_image(path).image, image_from_volume_node(load(path))
    assert sorted(ours.shape) == sorted(theirs.shape)
    random = np.random.default_rng(0)
    for index in random.integers(0, ours.shape, (300, 3)):
        point = (ours.affine @ [*index, 1])[:3]
        assert value_at(theirs, point) == ours.array[0][tuple(index)]

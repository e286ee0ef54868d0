"""Grey PNG and JPEG are slices; their size is said to be unknown, and coloured ones are refused."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image as Picture

from medseg.io.formats import image_files, image_name
from medseg.io.read import read_image, read_labels
from medseg.spec.errors import ImageError

GREY = (np.add.outer(np.arange(30), 3 * np.arange(40)) + 20).astype(np.uint8)  # 30 rows, 40 columns


@pytest.mark.parametrize(
    ("ending", "mode"), [(".png", "L"), (".png", "RGB"), (".png", "RGBA"), (".jpg", "L"), (".jpg", "RGB")]
)
def test_a_grey_picture_is_a_slice_with_columns_along_i(tmp_path, ending, mode):
    path = tmp_path / f"chest{ending}"
    Picture.fromarray(GREY).convert(mode).save(path, quality=95)
    reading = read_image(path)
    assert reading.image.shape == (40, 30, 1)
    np.testing.assert_allclose(reading.image.array[0, :, :, 0].T.astype(int), GREY, atol=3 if ending == ".jpg" else 0)
    assert reading.name == "chest"
    assert any("1 x 1 mm is assumed" in each for each in reading.warnings)
    assert not reading.image.spacing_known
    assert reading.image.modality == ""


def test_it_lies_where_itk_and_so_3d_slicer_places_a_picture(tmp_path):
    path = tmp_path / "chest.png"
    Picture.fromarray(GREY).save(path)
    theirs = sitk.ReadImage(str(path))
    ours = read_image(path).image
    for index in ((0, 0), (7, 3)):
        lps = theirs.TransformIndexToPhysicalPoint(index)
        ras = (ours.affine @ [*index, 0, 1])[:2]
        np.testing.assert_allclose(ras, [-lps[0], -lps[1]])
        assert theirs[index] == ours.array[0, index[0], index[1], 0]


def test_sixteen_bits_are_kept(tmp_path):
    deep = GREY.astype(np.uint16) * 200
    sitk.WriteImage(sitk.GetImageFromArray(deep), str(tmp_path / "deep.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png").image.array[0, :, :, 0].T, deep)


def test_a_mask_is_a_labelmap(tmp_path):
    Picture.fromarray((GREY > 100).astype(np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png").array[0, :, :, 0].T, GREY > 100)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_mask_in_black_and_white_is_label_1(tmp_path, dtype, white):
    sitk.WriteImage(sitk.GetImageFromArray(((GREY > 100) * white).astype(dtype)), str(tmp_path / "mask.png"))
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png").array[0, :, :, 0].T, GREY > 100)


def test_a_resized_mask_is_cut_at_half_of_white(tmp_path):
    across, down = np.meshgrid(np.arange(120), np.arange(90))
    disc = Picture.fromarray(((np.hypot(across - 60, down - 45) < 30) * 255).astype(np.uint8))
    soft = disc.resize((200, 160), Picture.Resampling.BICUBIC)
    assert len(np.unique(np.asarray(soft))) > 20
    soft.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png").array[0, :, :, 0].T, np.asarray(soft) > 127)


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 1, 255), (0, 50, 100, 150)])
def test_a_picture_of_few_labels_keeps_their_numbers(tmp_path, values):
    labels = np.array(values, np.uint8)[GREY % len(values)]
    Picture.fromarray(labels).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png").array[0, :, :, 0].T, labels)


def test_labels_in_a_jpeg_are_refused(tmp_path):
    Picture.fromarray((GREY > 100).astype(np.uint8)).save(tmp_path / "mask.jpg")
    with pytest.raises(ImageError, match="JPEG changes them; save the labels as PNG"):
        read_labels(tmp_path / "mask.jpg")


def test_colours_are_refused_with_how_far_they_are_apart(tmp_path):
    coloured = np.stack([GREY, GREY, GREY], axis=-1)
    coloured[2:5, 2:5] = (250, 0, 0)
    Picture.fromarray(coloured).save(tmp_path / "marked.png")
    with pytest.raises(ImageError, match=r"differ by up to 250; convert it to grey"):
        read_image(tmp_path / "marked.png")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_half_a_picture_is_refused(tmp_path, ending):
    path = tmp_path / f"half{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8)
    Picture.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="get a whole copy"):
        read_image(path)


def test_pictures_beside_volumes_are_previews(tmp_path):
    for name in ("b.png", "a.PNG", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in image_files(tmp_path)] == ["a.PNG", "b.png"]
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    assert [path.name for path in image_files(tmp_path)] == ["scan.nii.gz"]
    assert image_name(Path("x/chest.v1.jpeg")) == "chest.v1"


def test_colours_that_are_asked_for_are_three_channels(tmp_path):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)  # red, green, blue, transparency
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    Picture.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", colours=True).image.array[..., 0], pixels[..., :3].transpose(2, 1, 0)
    )
    grey = read_image(tmp_path / "grey.png", colours=True).image.array[..., 0]
    np.testing.assert_array_equal(grey, np.stack([pixels[..., 0].T] * 3))

"""A DICOM series lies where its tags say, whatever its files are called."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.read import read_image
from medseg.spec.errors import ImageError

VOLUME = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
AXES = np.array([[1.0, 0, 0], [0, np.cos(0.4), np.sin(0.4)]])
NORMAL = np.cross(*AXES)


def write_slice(
    path: Path, pixels: np.ndarray, position, *, axes=AXES, instance=1, series="1.2.3", **tags: str
) -> None:
    image = sitk.GetImageFromArray(pixels.T[None])
    fields = {
        "0008|0060": "CT",
        "0008|103e": "made up",
        "0020|000d": "1.2",
        "0020|000e": series,
        "0020|0013": str(instance),
        "0020|0032": "\\".join(f"{value:.10g}" for value in position),
        "0020|0037": "\\".join(f"{value:.10g}" for value in axes.ravel()),
        "0028|1053": "1",
        "0028|1052": "0",
        **{f"{name[1:5]}|{name[5:]}": value for name, value in tags.items()},
    }
    image.SetSpacing((0.5, 0.75, 1))
    for tag, value in fields.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


def write_series(folder: Path, positions, order=None, **tags: str) -> None:
    for number, position in enumerate(positions):
        name = f"{(order or list(range(len(positions))))[number]:03d}.dcm"
        pixels = VOLUME[:, :, number % VOLUME.shape[2]]
        write_slice(folder / name, pixels, position, instance=number + 1, **tags)


def test_voxels_and_grid_of_an_oblique_series_are_exact_whatever_the_file_order(tmp_path):
    start = np.array([10.0, -20, 30])
    write_series(tmp_path, [start + 2.5 * n * NORMAL for n in range(4)], order=[2, 0, 3, 1])
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], VOLUME)
    lps = np.column_stack([AXES[0] * 0.5, AXES[1] * 0.75, NORMAL * 2.5, start])
    np.testing.assert_allclose(np.diag([-1, -1, 1]) @ lps, reading.image.affine[:3], atol=1e-6)
    assert reading.warnings == ()
    assert reading.name == tmp_path.name


def test_files_that_are_not_dicom_are_passed_over(tmp_path):
    write_series(tmp_path, [2.0 * n * NORMAL for n in range(4)])
    (tmp_path / "LICENSE").write_text("not an image")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert read_image(tmp_path).image.shape == VOLUME.shape


def test_a_dicom_file_that_lost_its_image_is_told(tmp_path):
    write_series(tmp_path, [2.0 * n * NORMAL for n in range(4)])
    whole = (tmp_path / "003.dcm").read_bytes()
    (tmp_path / "003.dcm").write_bytes(whole[:200])
    assert (
        "1 file could not be read, so that slices may be missing: 003.dcm (DICOM that is cut off or damaged)"
        in " ".join(read_image(tmp_path).warnings)
    )


def test_several_time_points_at_every_position_need_a_frame(tmp_path):
    write_series(tmp_path, [2.0 * n * NORMAL for n in (0, 1, 2, 3, 0, 1, 2, 3)])
    for name in ("004", "005", "006", "007"):
        write_slice(
            tmp_path / f"{name}.dcm", VOLUME[:, :, int(name) - 4] + 5, 2.0 * (int(name) - 4) * NORMAL, instance=9
        )
    np.testing.assert_array_equal(read_image(tmp_path, frame=1).image.array[0], VOLUME + 5)
    with pytest.raises(ImageError, match=r"got 2 .*--frame 0\.\.1"):
        read_image(tmp_path)


def test_a_localizer_in_the_series_is_refused_by_name(tmp_path):
    write_series(tmp_path, [2.0 * n * NORMAL for n in range(3)])
    write_slice(tmp_path / "loc.dcm", VOLUME[:, :, 0], (0, 0, 0), axes=np.array([[0.0, 1, 0], [0, 0, 1]]))
    with pytest.raises(ImageError, match=r"loc\.dcm: all slices have the orientation"):
        read_image(tmp_path)


def test_the_warnings_of_itk_stay_switched_as_they_were(tmp_path):
    write_series(tmp_path, [2.0 * n * NORMAL for n in range(3)])
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    try:
        for state in (True, False):
            sitk.ProcessObject.SetGlobalWarningDisplay(state)
            read_image(tmp_path)
            assert sitk.ProcessObject.GetGlobalWarningDisplay() == state
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)

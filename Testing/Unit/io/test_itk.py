"""What ITK warns of is kept off stderr, and heard where it matters."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.itk import heard_itk, quiet_itk

pytest.importorskip("pydicom", reason="the files are written by pydicom")

from scanner_files import volume, write_stack


@pytest.fixture
def uneven(tmp_path):
    """Files of which ITK's reader of series says that they are not evenly spaced."""
    return [str(path) for path in write_stack(tmp_path, volume(4), [0.0, 2.0, 4.0, 9.0])]


def test_a_warning_of_itk_is_heard_once_and_without_its_place_in_the_source(uneven, capfd):
    with heard_itk() as heard:
        for _ in range(2):
            sitk.ReadImage(uneven)
    assert len(heard) == 1
    assert heard[0].startswith("Non uniform sampling or missing slices detected")
    assert capfd.readouterr().err == ""


def test_quiet_itk_says_nothing_and_nobody_listens_afterwards(uneven, capfd):
    with heard_itk() as heard:
        pass
    with quiet_itk():
        sitk.ReadImage(uneven)
    assert (heard, capfd.readouterr().err) == ([], "")
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    try:
        np.testing.assert_array_equal(sitk.ReadImage(uneven).GetSize(), (7, 6, 4))
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
    assert heard == []
    assert "Non uniform sampling" in capfd.readouterr().err

"""A file that claims more than it holds is known before GDCM takes memory for it."""

import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

from pydicom.uid import ImplicitVRLittleEndian

from medseg.io.dicom_lengths import elements_fit
from medseg.io.read import read_image
from medseg.spec.errors import ImageError
from scanner_files import dataset, enhanced, save, volume

STACK = volume(6)
PLACES = [(0, 0, 2.0 * k) for k in range(6)]


def made(kind):
    return enhanced(STACK, PLACES) if kind == "enhanced" else dataset(STACK[:, :, 0], EchoTime=3.5)


def claimed(path, keyword_value: bytes):
    """The same file with an element of a known value that claims 768 MB more."""
    whole = path.read_bytes()
    at = whole.index(keyword_value)
    return whole[: at - 4] + b"UT\0\0" + (3 << 28).to_bytes(4, "little") + whole[at:]


@pytest.mark.parametrize("kind", ["one slice", "enhanced"])
def test_a_sound_file_fits(tmp_path, kind):
    assert elements_fit(save(made(kind), tmp_path / "a.dcm"))


def test_files_with_implicit_types_and_those_in_another_order_of_bytes_fit(tmp_path):
    file = made("one slice")
    file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file.save_as(tmp_path / "implicit.dcm", implicit_vr=True, little_endian=True)
    assert elements_fit(tmp_path / "implicit.dcm")
    path = save(made("one slice"), tmp_path / "big.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0", 1)[:-200])
    assert elements_fit(path)  # not looked through


def test_an_element_longer_than_the_file_is_found_and_the_file_called_damaged(tmp_path):
    path = save(made("one slice"), tmp_path / "a.dcm")
    path.write_bytes(claimed(path, b"PHANTOM"))
    assert not elements_fit(path)
    with pytest.raises(ImageError, match=r"cut off or damaged|cannot be read"):
        read_image(path)


def test_an_element_in_a_functional_group_is_found_too(tmp_path):
    path = save(made("enhanced"), tmp_path / "a.dcm")
    whole = path.read_bytes()
    at = whole.index(b"\x20\x00\x32\x00DS")  # the position of a frame, in sequences in sequences
    path.write_bytes(whole[:at] + b"\x20\x00\x32\x00UT\0\0" + (3 << 28).to_bytes(4, "little") + whole[at + 8 :])
    assert not elements_fit(path)


def test_a_file_without_elements_fits(tmp_path):
    for size in (0, 7, 128):
        (tmp_path / "a.dcm").write_bytes(b"\xff" * size)
        assert elements_fit(tmp_path / "a.dcm")

"""A result appears whole under its name or leaves nothing; what exists is kept unless overwriting is allowed."""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.io import write
from medseg.io.atomic import replacing
from medseg.io.read import read_labels
from medseg.io.write import check_writable, write_image, write_segmentation
from medseg.spec.errors import JobError, OutputExists

IMAGE = Image(np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2))


def produce(path: Path, content: bytes, *, overwrite: bool, failure: type[BaseException]) -> None:
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
        raise failure


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_an_existing_output_is_kept_and_replaced_only_on_request(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"precious")
    for refuse in (lambda: check_writable(path, overwrite=False), lambda: write_image(path, IMAGE)):
        with pytest.raises(OutputExists, match="is kept; allow overwriting"):
            refuse()
    assert path.read_bytes() == b"precious"
    check_writable(path, overwrite=True)
    write_image(path, IMAGE, overwrite=True)
    assert names(tmp_path) == ["a.nii.gz"]
    np.testing.assert_array_equal(read_labels(path).array, IMAGE.array)


@pytest.mark.parametrize("name", ["a.png", "a", ".nii.gz", "a.mhd", "a.gz", "a.nii.bz2"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(
        JobError, match=r"ends in \.seg\.nrrd, \.nii\.gz, \.nii, \.nrrd, \.mha, \.labelmap\.dcm, \.dcm, got"
    ):
        check_writable(tmp_path / name, overwrite=False)


def test_a_missing_folder_a_folder_as_output_and_a_too_long_name_are_refused(tmp_path):
    (tmp_path / "dir.nrrd").mkdir()
    for path, words in (
        (tmp_path / "no" / "a.nrrd", "does not exist; create it first"),
        (tmp_path / "dir.nrrd", "this is a folder"),
        (tmp_path / ("x" * 300 + ".nrrd"), "at most 255 bytes, got 305"),
    ):
        with pytest.raises(JobError, match=words):
            check_writable(path, overwrite=True)
        with pytest.raises(JobError, match=words):
            write_image(path, IMAGE, overwrite=True)
    assert names(tmp_path) == ["dir.nrrd"]


@pytest.mark.parametrize(
    "name", ["数据 Ω 'q' #%.nii.gz", "x" * 240 + ".seg.nrrd", "é" * 120 + ".mha", "UPPER.NII.GZ", "a.b.nrrd"]
)
def test_strange_and_long_names_can_be_written_and_read(tmp_path, name):
    write_segmentation(tmp_path / name, IMAGE, [])
    assert names(tmp_path) == [name]
    np.testing.assert_array_equal(read_labels(tmp_path / name).array, IMAGE.array)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_a_failure_while_writing_leaves_nothing_and_keeps_what_was_there(tmp_path, failure):
    (tmp_path / "old.nrrd").write_bytes(b"precious")
    for name, overwrite in (("new.nrrd", False), ("old.nrrd", True)):
        with pytest.raises(failure):
            produce(tmp_path / name, b"half", overwrite=overwrite, failure=failure)
    assert names(tmp_path) == ["old.nrrd"]
    assert (tmp_path / "old.nrrd").read_bytes() == b"precious"


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def fill_the_disk(path, _image):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(write._ENCODERS, ".nrrd", fill_the_disk)
    with pytest.raises(JobError, match="No space left on device"):
        write_image(tmp_path / "a.nrrd", IMAGE)
    assert names(tmp_path) == []


def test_a_file_that_came_meanwhile_is_kept(tmp_path):
    def meet():
        with replacing(tmp_path / "a.nrrd") as temporary:
            temporary.write_bytes(b"ours")
            (tmp_path / "a.nrrd").write_bytes(b"theirs")

    with pytest.raises(OutputExists, match="came to be"):
        meet()
    assert (tmp_path / "a.nrrd").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.nrrd"]


def test_several_outputs_appear_together_or_not_at_all(tmp_path):
    def write_both(*, fail):
        with ExitStack() as outputs:
            for name in ("a.nrrd", "b.nii.gz"):
                write_image(outputs.enter_context(replacing(tmp_path / name)), IMAGE)
            assert not (tmp_path / "a.nrrd").exists()
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        write_both(fail=True)
    assert names(tmp_path) == []
    write_both(fail=False)
    assert names(tmp_path) == ["a.nrrd", "b.nii.gz"]


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.nrrd").write_bytes(b"old")
    (tmp_path / "link.nrrd").symlink_to(tmp_path / "real" / "a.nrrd")
    write_image(tmp_path / "link.nrrd", IMAGE, overwrite=True)
    assert (tmp_path / "link.nrrd").is_symlink()
    np.testing.assert_array_equal(read_labels(tmp_path / "real" / "a.nrrd").array, IMAGE.array)
    assert names(tmp_path / "real") == ["a.nrrd"]


AS_NOBODY = """
import os, sys
from pathlib import Path
from medseg.io.write import check_writable
from medseg.spec.errors import JobError
if os.geteuid() == 0:  # root may write anywhere
    os.seteuid(65534)
try:
    check_writable(Path(sys.argv[1]), overwrite=False)
except JobError as error:
    print(error)
"""


def test_a_read_only_folder_is_refused_before_the_work():
    folder = Path(tempfile.mkdtemp())  # nobody may not enter pytest's own folders
    folder.chmod(0o555)
    try:
        command = [sys.executable, "-c", AS_NOBODY, str(folder / "out.nii.gz")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    finally:
        folder.chmod(0o755)
        folder.rmdir()
    assert f"the folder {folder} may not be written to; choose another one" in said


@pytest.mark.parametrize("channels", [1, 3])
def test_a_nifti_file_is_the_same_however_the_voxels_lie_in_memory(tmp_path, channels):
    array = np.random.default_rng(0).integers(0, 999, (channels, 37, 5, 21), dtype=np.int16)
    turned = np.ascontiguousarray(array.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    files = []
    for name, voxels in (("c", array), ("f", np.asfortranarray(array)), ("t", turned), ("s", array[:, ::-1][:, ::-1])):
        write_image(tmp_path / f"{name}.nii", Image(voxels))
        files.append((tmp_path / f"{name}.nii").read_bytes())
    assert files[0][352:] == array.transpose(1, 2, 3, 0).tobytes(order="F")
    assert len(set(files)) == 1

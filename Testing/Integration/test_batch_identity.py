"""``medseg batch`` knows images by what they hold, keeps its folder to itself, and takes any name a file may have."""

import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

pytest.importorskip("torch", reason="the command needs torch")

from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.folder_lock import FolderLock
from medseg.io.read import read_labels
from medseg.io.write import write_image

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
LATIN = b"n\xe4me.nrrd"


def scan(path, seed, shape=(12, 11, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).normal(100, 30, (1, *shape)).astype(np.float32)
    write_image(path, Image(array, AFFINE), overwrite=True)


def batch(source, out, *more):
    return run(["batch", str(source), "-m", MODEL, "-o", str(out), "--device", "cpu", "--suffix", ".nii.gz", *more])


def table(out):
    with (out / "report.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def replace_keeping_size_and_time(path, seed):
    """Another image in the place of one, as a copy that keeps times would put it there."""
    before = path.stat()
    scan(path, seed)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("how", ["another size", "the same size and time"])
def test_another_image_of_the_same_name_is_refused_by_name_and_done_when_that_is_allowed(tmp_path, capsys, how):
    scans, out = tmp_path / "scans", tmp_path / "out"
    for seed, name in enumerate("ab"):
        scan(scans / f"{name}.nii", seed)
    assert batch(scans, out) == 0
    before = {name: (out / f"{name}.nii.gz").read_bytes() for name in "ab"}
    written = (out / "b.nii.gz").stat().st_mtime_ns
    if how == "another size":
        scan(scans / "a.nii", 7, (14, 11, 10))
    else:
        replace_keeping_size_and_time(scans / "a.nii", 7)
    capsys.readouterr()
    assert batch(scans, out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"was made from what {scans / 'a.nii'} held before it was changed, and is kept" in line
    assert (out / "a.nii.gz").read_bytes() == before["a"]
    assert batch(scans, out, "--overwrite") == 0
    assert "2 of 2 done, 1 of them before" in capsys.readouterr().out
    assert (out / "a.nii.gz").read_bytes() != before["a"]
    assert (out / "b.nii.gz").stat().st_mtime_ns == written


def test_a_copy_of_the_same_images_elsewhere_need_not_be_done_again(tmp_path, capsys):
    for seed, name in enumerate("ab"):
        scan(tmp_path / "scans" / f"{name}.nii", seed)
    assert batch(tmp_path / "scans", tmp_path / "out") == 0
    shutil.copytree(tmp_path / "scans", tmp_path / "moved", copy_function=shutil.copy)
    capsys.readouterr()
    assert batch(tmp_path / "moved", tmp_path / "out") == 0
    assert "2 of 2 done, 2 of them before" in capsys.readouterr().out


def test_a_slice_or_a_detached_file_that_changed_makes_another_image(tmp_path, capsys):
    series, scans = tmp_path / "scans" / "series", tmp_path / "scans"
    series.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()

    def slice_file(number, value):
        piece = sitk.GetImageFromArray(np.full((1, 12, 11), value + number, np.int16))
        for tag, text in {
            "0008|0060": "MR",
            "0020|000e": "1.2.3",
            "0008|0018": f"1.2.3.{number}",
            "0020|0013": str(number),
            "0020|0032": f"0\\0\\{2 * number}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            piece.SetMetaData(tag, text)
        writer.SetFileName(str(series / f"{number}.dcm"))
        writer.Execute(piece)

    for number in range(8):
        slice_file(number, 100)
    sitk.WriteImage(sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(9, 8, 7))), str(scans / "m.mhd"))
    assert batch(scans, tmp_path / "out") == 0
    for change, changed in (
        (lambda: slice_file(5, 300), "series"),
        (lambda: (scans / "m.raw").write_bytes(np.arange(504, dtype=np.float64).tobytes()), "m.mhd"),
    ):
        change()
        capsys.readouterr()
        assert batch(scans, tmp_path / "out") == 2
        assert f"what {scans / changed} held before it was changed" in capsys.readouterr().err
        assert batch(scans, tmp_path / "out", "--overwrite") == 0


def test_a_second_batch_into_one_folder_is_refused_and_changes_nothing_there(tmp_path, capsys):
    scan(tmp_path / "scans" / "a.nii", 0)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".unfinished").mkdir()
    (out / ".unfinished" / "output.nii.gz").write_bytes(b"the first one's")
    lock = FolderLock(out, ".batch-lock")
    assert lock.acquire()
    assert batch(tmp_path / "scans", out) == 2
    assert f"another batch is writing to {out}" in capsys.readouterr().err
    assert (out / ".unfinished" / "output.nii.gz").read_bytes() == b"the first one's"
    lock.release()
    assert batch(tmp_path / "scans", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.nii.gz", "report.csv", "report.html"]


def test_the_lock_of_a_killed_process_is_free(tmp_path, checkout):
    code = (
        "import os, sys, pathlib; from medseg.io.folder_lock import FolderLock; "
        f"lock = FolderLock(pathlib.Path({str(tmp_path)!r})); print(lock.acquire(), flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        assert not FolderLock(tmp_path).acquire()
        process.kill()
    again = FolderLock(tmp_path)
    assert again.acquire()
    assert not FolderLock(tmp_path).acquire()
    again.release()
    assert list(tmp_path.iterdir()) == []


def shell(checkout, *arguments, **variables):
    """The command in a process of its own, since a terminal's letters and a home are a process's."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "medseg", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_name_that_is_no_utf_8_is_done_beside_the_others_and_known_again(tmp_path, checkout, capsys):
    scan(tmp_path / "scans" / "z.nrrd", 0)
    os.link(tmp_path / "scans" / "z.nrrd", os.fsencode(tmp_path / "scans") + b"/" + LATIN)
    done = shell(checkout, "batch", str(tmp_path / "scans"), "-m", MODEL, "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert {name: row["status"] for name, row in table(tmp_path / "out").items()} == {"n%E4me": "done", "z": "done"}
    first, second = (read_labels(tmp_path / "out" / f"{name}.seg.nrrd").array for name in ("n%E4me", "z"))
    np.testing.assert_array_equal(first, second)
    assert b"n%25E4me.seg.nrrd" in (tmp_path / "out" / "report.html").read_bytes()
    capsys.readouterr()
    assert run(["batch", str(tmp_path / "scans"), "-m", MODEL, "-o", str(tmp_path / "out")]) == 0
    assert "2 of 2 done, 2 of them before" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_name_that_the_terminal_has_no_letters_for_is_done_and_said(tmp_path, checkout, encoding):
    scan(tmp_path / "scans" / "胃 ż.nii", 0)
    command = ("batch", str(tmp_path / "scans"), "-m", MODEL, "-o", str(tmp_path / "out ż"), "--device", "cpu")
    done = shell(checkout, *command, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"1 of 1 done" in done.stdout
    assert b"out \\u017c" in done.stdout
    assert list(table(tmp_path / "out ż")) == ["胃 ż"]


NOBODY = "import os, pwd\ndef getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
RUN = "import sys\nfrom medseg.cli.main import main\nmain(sys.argv[1:])\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a home is found in another way there")
@pytest.mark.parametrize("home", [None, "/dev/null", "/" + "x" * 300, ""])
def test_a_user_without_a_home_has_the_work_done(tmp_path, checkout, home):
    """None: neither the environment nor the system's list of users has one, as in many containers."""
    scan(tmp_path / "scans" / "a.nii", 0)
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    environment.pop("XDG_CACHE_HOME", None)
    environment.pop("HOME", None)
    if home is not None:
        environment["HOME"] = home
    arguments = ["batch", str(tmp_path / "scans"), "-m", MODEL, "-o", str(tmp_path / "out"), "--device", "cpu"]
    code = (NOBODY if home is None else "") + RUN
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 of 1 done" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scans"]

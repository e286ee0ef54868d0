"""Files that appear together or not at all, also where a rename fails, as on Windows while a file is open."""

from pathlib import Path

import pytest

from medseg.io.atomic import replacing, replacing_all
from medseg.spec.errors import JobError, OutputExists


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def write(paths, *, overwrite=True):
    """Write "new" to every path."""
    with replacing_all(paths, overwrite=overwrite) as temporaries:
        for temporary in temporaries:
            temporary.write_bytes(b"new")


@pytest.fixture
def in_use(monkeypatch):
    """Make renames onto names that start with "open" fail, as Windows does while a program holds the file."""
    rename = Path.replace

    def refuse(self, target):
        if Path(target).name.startswith("open") or self.name.startswith("open"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)


def no_links(_self, _target):
    raise OSError(95, "Operation not supported")


@pytest.fixture(params=["hard links", "no hard links"])
def links(request, monkeypatch):
    """A file system with and without hard links."""
    if request.param == "no hard links":
        monkeypatch.setattr(Path, "hardlink_to", no_links)


@pytest.mark.usefixtures("in_use")
def test_a_file_in_use_is_a_sentence_and_leaves_nothing_behind(tmp_path):
    def attempt(*, overwrite):
        with replacing(tmp_path / "open.nrrd", overwrite=overwrite) as temporary:
            temporary.write_bytes(b"new")

    for before in ({}, {"open.nrrd": b"old"}):
        for name, content in before.items():
            (tmp_path / name).write_bytes(content)
        with pytest.raises(JobError, match=r"open\.nrrd is in use or protected .*; close it or choose another name"):
            attempt(overwrite=True)
        assert contents(tmp_path) == before


@pytest.mark.usefixtures("links")
def test_all_names_get_their_new_content(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"old")
    write([tmp_path / name for name in ("a.nrrd", "b.json", "c.nii.gz")])
    assert contents(tmp_path) == {"a.nrrd": b"new", "b.json": b"new", "c.nii.gz": b"new"}


@pytest.mark.usefixtures("links", "in_use")
@pytest.mark.parametrize("names", [["a", "b", "open"], ["a", "open", "b"], ["open", "a", "b"], ["b", "open", "a"]])
@pytest.mark.parametrize("opened", [True, False])
def test_one_failed_rename_puts_every_name_back(tmp_path, names, opened):
    before = {"a": b"old"} | ({"open": b"held"} if opened else {})
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(JobError, match="open is in use or protected"):
        write([tmp_path / name for name in names])
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("links")
def test_an_interruption_between_two_renames_puts_every_name_back(tmp_path, monkeypatch):
    rename, calls = Path.replace, []

    def interrupt(self, target):
        calls.append(Path(target).name)
        if calls.count("b") and Path(target).name == "b":
            raise KeyboardInterrupt
        return rename(self, target)

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert contents(tmp_path) == {"a": b"old"}


def test_a_file_that_came_meanwhile_keeps_all_others_away(tmp_path):
    def meet():
        with replacing_all([tmp_path / "a", tmp_path / "b"], overwrite=False) as temporaries:
            for temporary in temporaries:
                temporary.write_bytes(b"new")
            (tmp_path / "b").write_bytes(b"theirs")

    with pytest.raises(OutputExists, match="came to be"):
        meet()
    assert contents(tmp_path) == {"b": b"theirs"}


def test_what_cannot_be_brought_back_is_kept_and_said_where(tmp_path, monkeypatch):
    rename = Path.replace

    def stubborn(self, target):
        if Path(target).name == "b" or self.read_bytes() == b"old":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", stubborn)
    with pytest.raises(JobError, match=r"a could not be brought back .*; what it held is now ") as caught:
        write([tmp_path / "a", tmp_path / "b"])
    assert Path(str(caught.value).partition("is now ")[2]).read_bytes() == b"old"


def test_a_name_given_twice_is_refused_before_the_work(tmp_path):
    with pytest.raises(JobError, match="named for two outputs"):
        write([tmp_path / "a", tmp_path / "sub" / ".." / "a"])
    assert contents(tmp_path) == {}


def test_an_output_nobody_wrote_is_no_fault_of_the_user(tmp_path):
    def forget():
        with replacing_all([tmp_path / "a", tmp_path / "b"], overwrite=False) as (first, _):
            first.write_bytes(b"new")

    with pytest.raises(FileNotFoundError):
        forget()
    assert contents(tmp_path) == {}

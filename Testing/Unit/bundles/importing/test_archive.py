"""Archives from elsewhere: what would leave the folder, hide or swell is refused before it is written."""

import stat
import zipfile

import pytest

from medseg.bundles.importing import archive
from medseg.bundles.importing.archive import open_folder
from medseg.spec.errors import ManifestError


@pytest.fixture
def workshop(tmp_path):
    folder = tmp_path / "deep" / "workshop"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def zipped(tmp_path):
    """Write an archive of members; each is a name or a ``ZipInfo``, and its content."""

    def write(*members):
        path = tmp_path / "bundle.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
        return path

    return write


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


GOOD = ("b/configs/metadata.json", "{}")


def test_texts_and_weights_are_unpacked_and_programs_are_not(zipped, workshop):
    path = zipped(GOOD, ("b/models/model.pt", "w"), ("b/LICENSE", "free"), ("b/scripts/run.py", "print()"))
    assert open_folder(path, workshop) == workshop / "b"
    assert everything_below(workshop) == ["b/LICENSE", "b/configs/metadata.json", "b/models/model.pt"]


def test_a_folder_is_taken_as_it_is(tmp_path, workshop):
    (tmp_path / "b" / "configs").mkdir(parents=True)
    assert open_folder(tmp_path / "b", workshop) == tmp_path / "b"


def linked(name="b/configs/passwd.txt"):
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../outside.json", "{}"), "outside its folder"),
        (("b/../../outside.json", "{}"), "outside its folder"),
        (("/tmp/outside.json", "{}"), "outside its folder"),  # noqa: S108
        (("b\\..\\outside.json", "{}"), "backslash or a colon"),
        (("C:outside.json", "{}"), "backslash or a colon"),
        ((linked(), "/etc/passwd"), "link or a device"),
        (("b/Configs/metadata.JSON", "{}"), "twice"),
    ],
)
def test_a_dangerous_member_refuses_the_whole_archive(zipped, workshop, tmp_path, member, reason):
    path = zipped(GOOD, member)
    with pytest.raises(ManifestError, match=reason):
        open_folder(path, workshop)
    assert everything_below(tmp_path) == ["bundle.zip"]


def test_a_text_that_swells_is_stopped(zipped, workshop, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_TEXT", 1000)
    with pytest.raises(ManifestError, match="is larger than 1000 bytes"):
        open_folder(zipped(GOOD, ("b/configs/bomb.json", " " * 100_000)), workshop)


def test_weights_that_swell_are_stopped(zipped, workshop, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_TOTAL", 50_000)
    half = " " * 30_000
    with pytest.raises(ManifestError, match="is larger than"):
        open_folder(zipped(GOOD, ("b/models/a.pt", half), ("b/models/b.pt", half)), workshop)


def test_too_many_members_are_refused(zipped, workshop, monkeypatch):
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(ManifestError, match="3 members"):
        open_folder(zipped(GOOD, ("a.txt", ""), ("b.txt", "")), workshop)


def test_an_archive_without_configs_and_another_file_are_refused(zipped, workshop, tmp_path):
    with pytest.raises(ManifestError, match="no folder 'configs'"):
        open_folder(zipped(("readme.md", "")), workshop)
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ManifestError, match="neither a folder nor a ZIP"):
        open_folder(tmp_path / "text.zip", workshop)


def test_a_damaged_archive_is_refused(zipped, workshop):
    path = zipped(GOOD, ("b/models/model.pt", bytes(range(256)) * 40))
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="damaged"):
        open_folder(path, workshop)

"""What a folder of wheels lacks is known before anything is installed, down to what its wheels need."""

from importlib import metadata
from zipfile import ZipFile

import pytest

from medseg.desktop.install.wheel_folder import choose_wheels
from medseg.spec.errors import MissingDependency
from wheel_maker import make_wheel


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "wheels"
    made.mkdir()
    return made


def chosen(folder, *wanted, **installed):
    choice = choose_wheels(folder, wanted, installed.get)
    return [path.name.partition("-py3")[0] for path in choice.wheels], list(choice.missing)


def test_the_newest_that_fits_is_taken(folder):
    for version in ("1.9", "1.10", "2.0"):
        make_wheel(folder, "some-thing", version)
    assert chosen(folder, "Some.Thing<2") == (["some_thing-1.10"], [])


def test_the_needs_of_needs_are_followed_round_a_circle(folder):
    make_wheel(folder, "a", "1", ["b>=2"])
    make_wheel(folder, "b", "2", ["a", "c~=1.0", "d"])
    make_wheel(folder, "c", "2.0")
    assert chosen(folder, "a") == (["a-1", "b-2"], ["c~=1.0", "d"])


def test_conditions_and_extras_are_honoured(folder):
    make_wheel(folder, "a", "1", ["w; sys_platform == 'plan9'", "x; extra == 'fast'", "y; extra == 'slow'"])
    make_wheel(folder, "b", "1", ["a[fast]"])
    assert chosen(folder, "a") == (["a-1"], [])
    assert chosen(folder, "b") == (["b-1", "a-1"], ["x"])


def test_what_is_installed_needs_no_wheel(folder):
    assert chosen(folder, "a>=1", "b", a="1.2", b="") == ([], [])
    assert chosen(folder, "a>=2", a="1.2") == ([], ["a>=2 (Slicer has 1.2)"])


def test_slicers_own_is_never_replaced(folder):
    make_wheel(folder, "numpy", "9.0")
    assert chosen(folder, "numpy>=3", numpy="2.0.2") == ([], ["numpy>=3 (Slicer has 2.0.2)"])


def test_wheels_of_other_systems_and_files_that_are_none_do_not_count(folder):
    make_wheel(folder, "a", "1", tag="cp27-cp27m-win32")
    for name in ("a-1.tar.gz", "a.whl", "notes.txt"):
        (folder / name).touch()
    assert chosen(folder, "a") == ([], ["a"])


def test_a_damaged_wheel_is_named(folder):
    (folder / "a-1-py3-none-any.whl").write_bytes(b"half a file")
    with pytest.raises(MissingDependency, match=r"a-1-py3-none-any\.whl is no wheel; copy it again"):
        chosen(folder, "a")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MissingDependency, match=r"wheel folder .* is not there; choose another one"):
        chosen(tmp_path / "nowhere", "a")


def test_a_wheel_that_carries_others_inside_it_has_the_needs_of_its_own_metadata(folder):
    with ZipFile(make_wheel(folder, "setuptools", "80.9.0", ["b>=2"]), "a") as archive:
        archive.writestr("setuptools/_vendor/wheel-0.45.1.dist-info/METADATA", "Name: wheel\nRequires-Dist: c\n")
    make_wheel(folder, "b", "2")
    assert chosen(folder, "setuptools>=77") == (["setuptools-80.9.0", "b-2"], [])


def test_a_genuine_setuptools_is_taken(folder):
    """torch needs it, so every offline folder has one."""
    files = metadata.files("setuptools") or []
    inside = [each for each in files if ".dist-info/METADATA" in str(each)]
    if len(inside) < 2:
        pytest.skip("the setuptools that is installed here carries no wheels inside it")
    version = metadata.version("setuptools")
    with ZipFile(folder / f"setuptools-{version}-py3-none-any.whl", "w") as archive:
        for each in inside:
            archive.write(each.locate(), str(each))
    assert chosen(folder, "setuptools") == ([f"setuptools-{version}"], [])

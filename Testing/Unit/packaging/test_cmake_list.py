"""The list in CMakeLists.txt is the package on disk: Slicer ships what is listed and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import update_cmake_list


@pytest.fixture(scope="module")
def cmake_text(checkout):
    return (checkout / "MedSegAttention" / "CMakeLists.txt").read_text(encoding="utf-8")


def listed(text, name):
    return re.search(rf"set\({name}\n(.*?)\n  \)", text, flags=re.DOTALL)[1].split()


def test_the_list_is_the_package_on_disk(checkout):
    done = subprocess.run([sys.executable, checkout / "Testing" / "update_cmake_list.py", "--check"], check=False)
    assert done.returncode == 0, "run: python Testing/update_cmake_list.py"


def test_every_ui_file_is_shipped_as_a_resource(checkout, cmake_text):
    """Counted here again, by another rule than the one the list is made with."""
    folder = checkout / "MedSegAttention" / "Resources" / "UI"
    there = {f"Resources/UI/{path.name}" for path in folder.iterdir()}
    resources = listed(cmake_text, "MODULE_PYTHON_RESOURCES")
    assert there
    assert {name for name in resources if name.startswith("Resources/UI/")} == there
    assert all(name.endswith(".ui") for name in there)


def test_every_ui_file_that_is_loaded_is_there_and_no_other(checkout):
    desktop = checkout / "MedSegAttention" / "medseg" / "desktop"
    texts = [path.read_text(encoding="utf-8") for path in desktop.rglob("*.py")]
    loaded = {name for text in texts for name in re.findall(r'load_ui\("(\w+)"\)', text)}
    assert loaded == {path.stem for path in (checkout / "MedSegAttention" / "Resources" / "UI").glob("*.ui")}


def test_a_file_that_is_not_listed_is_noticed(tmp_path):
    files = ("medseg/io/read.py", "medseg/_models/m/x.py", "medseg/py.typed", "Resources/UI/New.ui")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert update_cmake_list.scripts(tmp_path) == ["medseg/io/read.py"]
    assert update_cmake_list.resources(tmp_path) == ["Resources/UI/New.ui", "medseg/py.typed"]


def test_the_catalogue_looks_where_cmake_puts_the_models(checkout):
    from medseg.bundles import catalogue

    package = Path(catalogue.__file__).parents[1]
    assert package == checkout / "MedSegAttention" / "medseg"
    assert catalogue.built_in_folder() in (package / "_models", checkout / "Models")

"""Slicer ships what CMake lists: the list is the package on disk, and configuring it puts the models where they go."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import update_cmake_list

# Just enough of Slicer for its macros to be called: they write down what they were given.
FAKE_SLICER = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/use.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
"""
USE_FILE = """
include(CMakeParseArguments)
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  string(REPLACE ";" "\\n" lines "${MODULE_SCRIPTS};${MODULE_RESOURCES}")
  file(WRITE ${CMAKE_BINARY_DIR}/shipped.txt "${MODULE_NAME}\\n${lines}\\n")
endmacro()
macro(slicer_add_python_unittest)
  file(WRITE ${CMAKE_BINARY_DIR}/tests.txt "${ARGN}")
endmacro()
"""


@pytest.fixture
def cmake():
    if not shutil.which("cmake") or not shutil.which("c++"):
        pytest.skip("needs cmake and a compiler, as building a Slicer extension does")

    def run(*arguments):
        done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def fake_slicer(tmp_path):
    folder = tmp_path / "slicer"
    folder.mkdir()
    (folder / "SlicerConfig.cmake").write_text(FAKE_SLICER)
    (folder / "use.cmake").write_text(USE_FILE)
    (folder / "empty.cmake").write_text("")
    return folder


def test_the_list_is_the_package_on_disk(checkout):
    done = subprocess.run([sys.executable, checkout / "Testing" / "update_cmake_list.py", "--check"], check=False)
    assert done.returncode == 0, "run: python Testing/update_cmake_list.py"


def test_a_file_that_is_not_listed_is_noticed(tmp_path):
    (tmp_path / "medseg" / "io").mkdir(parents=True)
    (tmp_path / "medseg" / "_models" / "m").mkdir(parents=True)
    for name in ("medseg/io/read.py", "medseg/_models/m/x.py", "medseg/py.typed"):
        (tmp_path / name).touch()
    assert update_cmake_list.scripts(tmp_path) == ["medseg/io/read.py"]
    assert update_cmake_list.resources(tmp_path) == ["medseg/py.typed"]


def test_cmake_ships_every_listed_file_and_installs_the_models(checkout, tmp_path, cmake, fake_slicer):
    build, target = tmp_path / "build", tmp_path / "target"
    cmake("-S", checkout, "-B", build, f"-DSlicer_DIR={fake_slicer}", "-DBUILD_TESTING=ON")
    name, *shipped = (build / "shipped.txt").read_text().split()
    assert name == "MedSegAttention"
    assert (build / "tests.txt").read_text() == "SCRIPT;MedSegAttention.py"
    on_disk = ["MedSegAttention.py", *update_cmake_list.scripts(), *update_cmake_list.resources()]
    assert sorted(shipped) == sorted(on_disk)
    for file in shipped:
        assert (checkout / "MedSegAttention" / file).is_file()

    cmake("--build", build)
    cmake("--install", build, "--prefix", target)
    models = {path.relative_to(checkout / "Models") for path in (checkout / "Models").rglob("*") if path.is_file()}
    assert models
    for root in (build, target):
        there = root / "lib" / "qt-scripted-modules" / "medseg" / "_models"
        assert {path.relative_to(there) for path in there.rglob("*") if path.is_file()} == models


def test_the_catalogue_looks_where_cmake_puts_the_models(checkout):
    from medseg.bundles import catalogue

    package = Path(catalogue.__file__).parents[1]
    assert package == checkout / "MedSegAttention" / "medseg"
    assert catalogue.built_in_folder() in (package / "_models", checkout / "Models")

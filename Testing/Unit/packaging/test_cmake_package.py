"""The extension is configured, built, installed and packed with CMake, against a stand-in for Slicer's build tree."""

import json
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

LIB = "lib/Slicer-5.12/qt-scripted-modules"


def run(*arguments, cwd=None):
    done = subprocess.run([str(each) for each in arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fake_slicer(checkout):
    if not all(map(shutil.which, ("cmake", "cpack", "ctest", "c++"))):
        pytest.skip("needs cmake and a compiler, as building a Slicer extension does")
    return checkout / "Testing" / "Data" / "fake_slicer"


@pytest.fixture(scope="module")
def build(checkout, fake_slicer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    run("cmake", "-S", checkout, "-B", folder, f"-DSlicer_DIR={fake_slicer}", "-DBUILD_TESTING=ON")
    run("cmake", "--build", folder)
    return folder


@pytest.fixture(scope="module")
def installed(build, tmp_path_factory):
    """The folder of modules, as the package that Slicer downloads holds it."""
    run("cpack", "-B", build / "packed", cwd=build)
    (archive,) = (build / "packed").glob("*.tar.gz")
    target = tmp_path_factory.mktemp("Slicer")
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")
    (root,) = target.iterdir()
    return root / LIB


def relative_files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_package_holds_every_file_and_nothing_else(checkout, installed):
    module = checkout / "MedSegAttention"
    package = {f"medseg/{name}" for name in relative_files(module / "medseg") if not name.startswith("_models/")}
    resources = {f"Resources/{name}" for name in relative_files(module / "Resources")}
    resources |= {"Resources/SampleData/colin27_left_t1.nii.gz", "Resources/SampleData/LICENSE.txt"}
    models = {f"medseg/_models/{name}" for name in relative_files(checkout / "Models")}
    assert min(map(len, (package, resources, models))) > 1
    assert relative_files(installed) == {"MedSegAttention.py"} | package | resources | models


def test_the_files_are_the_same_byte_for_byte(checkout, installed):
    for name in relative_files(installed):
        source = name.replace("medseg/_models/", "../Models/").replace("Resources/Sample", "../Resources/Sample")
        assert (installed / name).read_bytes() == (checkout / "MedSegAttention" / source).read_bytes(), name


def test_plain_installing_gives_the_same_as_packing(build, installed, tmp_path):
    run("cmake", "--install", build, "--prefix", tmp_path / "plain")
    assert relative_files(tmp_path / "plain" / LIB) == relative_files(installed)


def test_the_build_tree_can_be_used_without_installing(build, installed):
    assert relative_files(build / LIB) == relative_files(installed)


def test_what_was_installed_finds_its_models(checkout, installed, tmp_path):
    """In another Python process, which sees nothing of the source tree."""
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "import medseg; from medseg.bundles.catalogue import catalogue\n"
        "print(json.dumps([medseg.__file__, {name: [str(each.folder), each.weights_path.is_file()]"
        " for name, each in catalogue().items()}]))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "MEDSEG_MODELS": ""}
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code, str(installed)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    home, models = json.loads(done.stdout)
    assert home == str(installed / "medseg" / "__init__.py")
    assert set(models) == {path.parents[1].name for path in (checkout / "Models").glob("*/configs/metadata.json")}
    for name, (folder, has_weights) in models.items():
        assert folder == str(installed / "medseg" / "_models" / name)
        assert has_weights


def test_the_tests_inside_slicer_are_registered(checkout, build):
    listed = json.loads(run("ctest", "--test-dir", build, "--show-only=json-v1"))["tests"]
    commands = {test["name"]: test["command"] for test in listed}
    assert set(commands) == {
        "py_nomainwindow_qSlicerMedSegAttentionModuleGenericTest",
        "py_MedSegAttention",
        "py_segment_sample",
        "py_panel_in_slicer",
        "py_first_use_in_slicer",
    }
    script, sample = commands["py_segment_sample"][-2:]
    assert script == str(checkout / "Testing" / "Slicer" / "in_app" / "segment_sample.py")
    for path in (script, sample):
        assert os.path.isfile(path)  # noqa: PTH113


def test_without_testing_nothing_is_registered(checkout, fake_slicer, tmp_path):
    run("cmake", "-S", checkout, "-B", tmp_path, f"-DSlicer_DIR={fake_slicer}", "-DBUILD_TESTING=OFF")
    assert json.loads(run("ctest", "--test-dir", tmp_path, "--show-only=json-v1"))["tests"] == []


@pytest.mark.parametrize(
    ("words", "refusal"),
    [("NAME m SCRIPTS gone.py", "there is no gone.py"), ("NAME m FILES x.py", "does not know"), ("", "needs a NAME")],
)
def test_the_stand_in_refuses_what_slicer_refuses(fake_slicer, tmp_path, words, refusal):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(m NONE)\nfind_package(Slicer REQUIRED)\n"
        f"include(${{Slicer_USE_FILE}})\nslicerMacroBuildScriptedModule({words})\n"
    )
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DSlicer_DIR={fake_slicer}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert refusal in " ".join(done.stderr.split())

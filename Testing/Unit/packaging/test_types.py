"""The package as a type checker sees it from outside: an installed library that says its types."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv

import pytest

pytest.importorskip("mypy", reason="a type checker is needed: pip install mypy")

PROGRAM = """
from pathlib import Path

import medseg


def volumes(paths: list[Path]) -> dict[str, float]:
    found: dict[str, float] = {}
    with medseg.Segmenter("a-model", device="cuda", engine="torch", mirror=None) as segmenter:
        for path in paths:
            result: medseg.Segmentation = segmenter(path, overlap=0.5, roi=(-40.0, 0.0, -50.0, 10.0, -40.0, 20.0))
            result.save(path.with_suffix(".seg.nrrd"), overwrite=True)
            found[path.name] = sum(row.volume_ml for row in result.measures)
    return found


def one(path: str) -> medseg.Image:
    image = medseg.read(path, frame=0)
    rule = medseg.PostprocessRule(keep_largest=True)
    try:
        return medseg.segment([image, image], model="m", precision="bfloat16", postprocess=rule).labels
    except medseg.ModelNotFound:
        titles: list[str] = [manifest.title for manifest in medseg.models().values()]
        raise medseg.JobError(", ".join(titles)) from None


version: str = medseg.__version__
"""
WRONG = """
import medseg

medseg.segment("t1.nii", model="m", coarser=2.0)
medseg.segment("t1.nii", model="m", overlap="half")
medseg.Segmenter("m", engine="onnx")
medseg.Segmenter("m")("t1.nii", colour="red")
medseg.Segmantation
"""
SETTINGS = """
[mypy]
strict = true
[mypy-torch.*,monai.*]
follow_imports = skip
"""


@pytest.fixture(scope="module")
def check(checkout, tmp_path_factory):
    """Type-check a program in an environment where the package is installed as any library is."""
    folder = tmp_path_factory.mktemp("typed")
    venv.create(folder / "environment", with_pip=False)
    (site,) = (folder / "environment").rglob("site-packages")
    paths = [checkout / "MedSegAttention", sysconfig.get_path("purelib")]
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    (folder / "mypy.ini").write_text(SETTINGS, encoding="utf-8")
    python = next(
        path for name in ("bin/python", "Scripts/python.exe") if (path := folder / "environment" / name).exists()
    )

    def run(program):
        (folder / "program.py").write_text(program, encoding="utf-8")
        options = ["--config-file", "mypy.ini", "--cache-dir", "cache", "--python-executable", str(python)]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *options, "program.py"],
            cwd=folder,
            env=os.environ | {"NO_COLOR": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.stdout

    return run


def test_a_program_of_a_user_passes_the_strict_type_check(check):
    assert check(PROGRAM).startswith("Success: no issues found in 1 source file")


def test_wrong_keywords_values_and_names_are_found(check):
    lines = [line for line in check(WRONG).splitlines() if ": error: " in line]
    assert [line.split(":")[1] for line in lines] == ["4", "5", "6", "7", "8"]
    for line, words in zip(
        lines, ('"coarser"', '"str"', "\"Literal['onnx']\"", '"colour"', '"Segmantation"'), strict=False
    ):
        assert words in line


def test_the_mark_of_a_typed_package_is_in_the_wheel(checkout):
    """The wheel takes it from ``pyproject.toml``, the extension from CMakeLists.txt (``test_cmake_list.py``)."""
    settings = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["medseg"]
    package = checkout / "MedSegAttention" / "medseg"
    assert package / "py.typed" in {path for pattern in patterns for path in package.glob(pattern)}

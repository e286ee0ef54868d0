"""The rules of Slicer's extensions index, as its own checks and reviewers apply them."""

import ast
import json
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

RAW = "https://raw.githubusercontent.com/MedSegAttention/SlicerMedSegAttention/main/"
# What a module may import at file scope; the package may also import what Slicer brings.
DOOR_MAY_IMPORT = {"slicer", "vtk"} | set(sys.stdlib_module_names)


@pytest.fixture
def cmake_text(checkout):
    return (checkout / "CMakeLists.txt").read_text(encoding="utf-8")


def value(text, name):
    found = re.findall(rf'^set\({name} "([^"\n]*)"\)$', text, flags=re.MULTILINE)
    assert len(found) == 1, f"{name} must be set once, on one line"
    return found[0]


def test_the_project_is_named_as_the_extension_and_not_after_slicer(cmake_text):
    assert re.search(r"^project\((\w+)\)$", cmake_text, flags=re.MULTILINE).group(1) == "MedSegAttention"


@pytest.mark.parametrize("name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
def test_every_field_is_set_on_one_line(cmake_text, name):
    assert value(cmake_text, f"EXTENSION_{name}").strip()


def test_the_repository_is_named_slicer_and_the_extension(cmake_text):
    assert value(cmake_text, "EXTENSION_HOMEPAGE").rpartition("/")[2] == "SlicerMedSegAttention"


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_are_png_files_of_this_repository(checkout, cmake_text, name):
    for url in value(cmake_text, name).split():
        assert url.startswith(RAW)
        with Image.open(checkout / url.removeprefix(RAW)) as picture:
            assert picture.format == "PNG"
            if name == "EXTENSION_ICONURL":
                assert picture.size == (128, 128)


def test_torch_comes_from_the_pytorch_extension(cmake_text):
    assert value(cmake_text, "EXTENSION_DEPENDS").split() == ["PyTorch"]


def test_there_is_a_licence_in_the_root(checkout):
    assert "Apache License" in (checkout / "LICENSE.txt").read_text(encoding="utf-8")


def test_a_clone_stays_far_below_100_megabytes(checkout):
    if not shutil.which("git") or not (checkout / ".git").exists():
        pytest.skip("needs git and the repository: this is a copy without history")
    counted = subprocess.run(
        ["git", "count-objects", "-v"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    kibibytes = sum(int(size) for size in re.findall(r"^size(?:-pack)?: (\d+)$", counted, flags=re.MULTILINE))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True).stdout
    files = [checkout / name for name in listed.split("\0") if name]
    assert kibibytes / 1024 + sum(path.stat().st_size for path in files if path.is_file()) / 2**20 < 100


# What the schema of a catalogue entry knows; the first three have to be there.
ENTRY_FIELDS = (
    "$schema",
    "category",
    "scm_url",
    "build_dependencies",
    "build_subdirectory",
    "dicom_support_rule",
    "enabled",
    "scm_revision",
    "scm_type",
    "tier",
)


@pytest.fixture
def entry_path(checkout):
    """The file that goes into the root of the index."""
    (path,) = (checkout / "Resources" / "ExtensionsIndex").glob("*.json")
    return path


def test_the_entry_of_the_catalogue_is_named_and_written_as_the_index_wants(entry_path):
    assert entry_path.name == "MedSegAttention.json"
    raw = entry_path.read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"}\n")


def test_the_entry_has_the_fields_of_the_schema_and_no_other(entry_path):
    entry = json.loads(entry_path.read_text(encoding="utf-8"))
    assert set(ENTRY_FIELDS[:3]) <= set(entry) <= set(ENTRY_FIELDS)
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["tier"] in (1, 3, 5)


def test_the_entry_says_what_the_extension_says(entry_path, cmake_text, checkout):
    entry = json.loads(entry_path.read_text(encoding="utf-8"))
    assert entry["scm_url"] == value(cmake_text, "EXTENSION_HOMEPAGE") + ".git"
    assert entry["build_dependencies"] == value(cmake_text, "EXTENSION_DEPENDS").split()
    assert f"/{entry['scm_revision']}/" in RAW
    door = (checkout / "MedSegAttention" / "MedSegAttention.py").read_text(encoding="utf-8")
    assert f'translate("qSlicerAbstractCoreModule", "{entry["category"]}")' in door


def test_the_category_and_the_state_are_the_indexs_to_say(cmake_text):
    assert not re.search(r"EXTENSION_(CATEGORY|STATUS|ENABLED)", cmake_text)


def test_the_readme_shows_and_says_what_reviewers_look_for(checkout):
    text = (checkout / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[([^\]]+)\]\((Resources/Screenshots/[^)]+\.png)\)", text)
    assert pictures
    for caption, path in pictures:
        assert len(caption) > 10
        with Image.open(checkout / path) as picture:
            assert picture.format == "PNG"
    for words in ("The module *MedSegAttention*", "LICENSE.txt", "CITATION.cff", "Resources/SampleData"):
        assert words in text


def test_the_sample_volumes_say_where_they_are_from(checkout):
    folder = checkout / "Resources" / "SampleData"
    text = (folder / "README.md").read_text(encoding="utf-8")
    for volume in folder.glob("*.nii.gz"):
        assert volume.name in text
    assert "BSD-3-Clause" in text
    assert (folder / "LICENSE.txt").is_file()


def test_every_model_brings_its_licence_and_card(checkout):
    models = [path.parents[1] for path in (checkout / "Models").glob("*/configs/metadata.json")]
    assert models
    for model in models:
        assert (model / "LICENSE").stat().st_size > 200
        assert (model / "docs" / "README.md").stat().st_size > 200


def package_files(checkout):
    return [
        checkout / "MedSegAttention" / "MedSegAttention.py",
        *sorted((checkout / "MedSegAttention" / "medseg").rglob("*.py")),
    ]


def test_the_door_imports_nothing_but_slicer_and_the_standard_library_at_file_scope(checkout):
    tree = ast.parse((checkout / "MedSegAttention" / "MedSegAttention.py").read_text(encoding="utf-8"))
    roots = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            roots |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.names[0].name != "*"
            roots.add(node.module.partition(".")[0])
    assert roots <= DOOR_MAY_IMPORT


def test_no_file_slicer_imports_does_anything_but_define_names(checkout):
    """The command line registers its commands on import; no door of Slicer leads there."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign)
    allowed += (ast.AnnAssign, ast.If, ast.Try)
    for path in package_files(checkout):
        if "cli" in path.parts or path.name == "__main__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert is_text or isinstance(node, allowed), f"{path}:{node.lineno} runs when it is imported"


def test_nobody_installs_torch_directly(checkout):
    for path in package_files(checkout):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and "pip" in ast.unparse(node.func):
                assert "torch" not in ast.unparse(node).lower(), f"{path}:{node.lineno}"
    requirements = (checkout / "MedSegAttention" / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    wanted = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    assert not any(re.match(r"(?i)(torch|numpy|simpleitk|scipy|vtk)\b", line) for line in wanted)


def test_no_installed_top_level_package_is_called_like_somebody_elses(checkout):
    """All extensions share one flat import path; every .py beside the module file would be taken for a module."""
    module = checkout / "MedSegAttention"
    assert [path.name for path in module.glob("*.py")] == ["MedSegAttention.py"]
    assert [path.parent.name for path in module.glob("*/__init__.py")] == ["medseg"]

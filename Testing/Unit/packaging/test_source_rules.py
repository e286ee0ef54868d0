"""Rules every source file keeps: short, one idea, no print, nothing left unfinished."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "MedSegAttention"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAY_BE_LONGER: dict[str, str] = {}  # file -> why, and since when

ids = [str(path.relative_to(PACKAGE)) for path in SOURCES]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_a_file_has_at_most_300_lines_and_says_in_its_first_what_it_holds(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert path.name in MAY_BE_LONGER or text.count("\n") <= 300


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_nothing_is_left_unfinished(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [p for p in SOURCES if "__init__" in p.name and p.parent.name != "networks"], ids=str)
def test_importing_a_part_never_loads_its_neighbours(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [n for n in top if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("medseg.")]
    assert not ours

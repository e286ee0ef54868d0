"""Rules every source file keeps: short, one idea, nothing left unfinished. Each test names all files that break it."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "MedSegAttention"
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
MAY_BE_LONGER: dict[str, str] = {}  # file -> why, and since when


def test_there_are_sources():
    assert {"MedSegAttention.py", "medseg/__init__.py", "medseg/cli/main.py"} <= set(SOURCES)


def test_a_file_has_at_most_300_lines():
    lines = {name: text.count("\n") for name, text in SOURCES.items() if name not in MAY_BE_LONGER}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_a_file_says_in_its_first_line_what_it_holds():
    assert [name for name, text in SOURCES.items() if not ast.get_docstring(ast.parse(text))] == []


def test_nothing_is_left_unfinished():
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert {name: found for name, text in SOURCES.items() if (found := marks.findall(text))} == {}


def test_importing_a_part_never_loads_its_neighbours():
    parts = {name: text for name, text in SOURCES.items() if name.endswith("__init__.py")}
    del parts["medseg/networks/__init__.py"]  # the table of networks
    loaded = {
        f"{name}: {ast.unparse(node)}"
        for name, text in parts.items()
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medseg.")
    }
    assert len(parts) > 10
    assert loaded == set()

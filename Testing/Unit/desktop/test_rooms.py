"""What one module of the desktop must know of the others stays little."""

import ast
from pathlib import Path

from medseg import desktop

FOLDER = Path(desktop.__file__).parent


def own_modules(path):
    """Modules of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("medseg"):
            assert all(alias.name != "*" for alias in node.names), f"{path.name} hides what it takes from {node.module}"
            found.add(node.module)
    return found


def test_no_module_knows_too_many_others():
    counts = {path.relative_to(FOLDER).as_posix(): len(own_modules(path)) for path in FOLDER.rglob("*.py")}
    assert counts["panel/panel.py"] < 15
    assert {name: count for name, count in counts.items() if count > 18} == {}


def test_no_import_is_only_for_types():
    assert [path.name for path in FOLDER.rglob("*.py") if "TYPE_CHECKING" in path.read_text(encoding="utf-8")] == []

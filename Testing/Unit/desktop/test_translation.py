"""Every sentence of the panel can be translated: it is written out inside the function that translates."""

import ast
import re
from pathlib import Path

from medseg import desktop

FOLDER = Path(desktop.__file__).parent
# Read by who writes Python, in English like the names of the arguments; or said before there is a user.
FOR_PROGRAMMERS = {"console/orders.py", "console/segmenting.py", "console/waiting.py", "install/requirements.py"}


def untranslated(code):
    """Lines that give a sentence to a variable ``msg``, to an error or to ``say``, and do not translate it."""
    tree = ast.parse(code)
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"
        for part in ast.walk(node)
    }
    return [
        f"{value.lineno}: {ast.unparse(value)}"
        for node in ast.walk(tree)
        for value in _said(node)
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inside
        if re.search(r"[A-Za-z]{3,} [A-Za-z]{2,}|^ ?[a-z]{4,} $", part.value)
    ]


def _said(node):
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("msg", "message", "text", "note"):
        return [node.value]
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        is_said = name in ("say", "_say", "setText", "setToolTip", "addItem", "setAccessibleName", "Failed")
        return node.args if is_said or name.endswith(("Error", "Dependency")) else []
    return []


def test_what_is_said_is_translated():
    sources = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.py")}
    assert set(sources) >= FOR_PROGRAMMERS
    assert len(sources) > 50
    bare = {
        name: found
        for name, path in sorted(sources.items())
        if name not in FOR_PROGRAMMERS and (found := untranslated(path.read_text(encoding="utf-8")))
    }
    assert bare == {}


def test_a_bare_sentence_is_found_and_a_translated_one_is_not():
    assert untranslated('msg = f"the folder {x} is not there"')
    assert untranslated('self._say("Nothing to do here")')
    assert not untranslated('msg = _("the folder {x} is not there").format(x=x)')
    assert not untranslated('raise JobError(f"{msg}; {choose}")')

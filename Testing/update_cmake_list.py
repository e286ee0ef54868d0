"""Write every file of the package into the list of MedSegAttention/CMakeLists.txt: python Testing/update_cmake_list.py.

With --check nothing is written, and the exit code is 1 when the list is not up to date.
"""

import re
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "MedSegAttention"
LIST = MODULE / "CMakeLists.txt"


def scripts(module: Path = MODULE) -> list[str]:
    """Python files Slicer must ship, relative to the module folder, but the module file itself."""
    found = (path for path in (module / "medseg").rglob("*.py") if "_models" not in path.parts)
    return sorted(path.relative_to(module).as_posix() for path in found)


def resources(module: Path = MODULE) -> list[str]:
    """Other files: everything below Resources, and what lies in the package and is no Python."""
    folders = (path for folder in ("Resources", "medseg") for path in (module / folder).rglob("*"))
    return sorted(
        path.relative_to(module).as_posix()
        for path in folders
        if path.is_file() and path.suffix not in (".py", ".pyc") and not {"_models", "__pycache__"} & set(path.parts)
    )


def updated(text: str) -> str:
    """The text of a CMakeLists.txt with both lists as the folders are now."""
    text = _with_list(text, "MODULE_PYTHON_SCRIPTS", ["${MODULE_NAME}.py", *scripts()])
    return _with_list(text, "MODULE_PYTHON_RESOURCES", resources())


def _with_list(text: str, name: str, files: list[str]) -> str:
    lines = "".join(f"  {file}\n" for file in files)
    return re.sub(rf"(set\({name}\n).*?(  \))", lambda found: f"{found[1]}{lines}{found[2]}", text, flags=re.DOTALL)


def main() -> int:
    """Update the list, or with --check say whether it is up to date."""
    before = LIST.read_text(encoding="utf-8")
    after = updated(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    LIST.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

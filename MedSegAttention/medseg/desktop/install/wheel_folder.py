"""Installing without the network: which wheels of a folder are taken, and which are not there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from medseg.desktop.install.requirements import KEPT, Versions
from medseg.desktop.state.texts import _
from medseg.spec.errors import MissingDependency

# At the top: setuptools carries wheels of others inside, each with its own.
_IS_OWN_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True)
class WheelChoice:
    """What pip would find in a folder."""

    wheels: tuple[Path, ...]
    missing: tuple[str, ...]  # requirements that nothing there fulfils


def choose_wheels(folder: Path, wanted: Sequence[str], versions: Versions) -> WheelChoice:
    """Follow requirements and those of the wheels that fulfil them, for this Python and system.

    Args:
        folder: holds ``.whl`` files.
        wanted: requirement lines.
        versions: what is installed already.

    Raises:
        MissingDependency: if there is no such folder.
    """
    if not folder.is_dir():
        msg = _("the wheel folder {folder} is not there; choose another one in Install and diagnostics, or none")
        raise MissingDependency(msg.format(folder=folder))
    requirement = _packaging("requirements").Requirement
    offered = _offered(folder)
    chosen: dict[Path, None] = {}
    missing: dict[str, None] = {}
    waiting = [(requirement(line), frozenset[str]()) for line in wanted]
    seen = set()
    while waiting:
        need, extras = waiting.pop(0)
        applies = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if str(need) in seen or not applies:
            continue
        seen.add(str(need))
        have = versions(need.name)
        if have is not None and (not have or need.specifier.contains(have, prereleases=True)):
            continue
        name = _packaging("utils").canonicalize_name(need.name)
        fitting = [(version, path) for version, path in offered.get(name, ()) if need.specifier.contains(version)]
        wheel = max(fitting)[1] if fitting and not (have and need.name in KEPT) else None
        if wheel is None:
            has = _("{need} (Slicer has {version})").format(need=_plain(need), version=have)
            missing[has if have else _plain(need)] = None
        else:
            chosen[wheel] = None
            waiting += [(requirement(line), frozenset(need.extras)) for line in _requires(wheel)]
    return WheelChoice(tuple(chosen), tuple(missing))


def _plain(need: Any) -> str:
    """Without its condition, which a user does not need to know."""
    return f"{need.name}{need.specifier}"


def _offered(folder: Path) -> dict[str, list[tuple[Any, Path]]]:
    """Versions and files by name; wheels for other systems are left out."""
    utils = _packaging("utils")
    here = set(_packaging("tags").sys_tags())
    found: dict[str, list[tuple[Any, Path]]] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _build, tags = utils.parse_wheel_filename(path.name)
        except utils.InvalidWheelFilename:
            continue
        if here & tags:
            found.setdefault(name, []).append((version, path))
    return found


def _requires(wheel: Path) -> list[str]:
    try:
        with ZipFile(wheel) as archive:
            (name,) = [each for each in archive.namelist() if _IS_OWN_METADATA.fullmatch(each)]
            text = archive.read(name).decode("utf-8")
    except (BadZipFile, ValueError) as error:
        msg = _("{wheel} is no wheel; copy it again").format(wheel=wheel)
        raise MissingDependency(msg) from error
    return HeaderParser().parsestr(text).get_all("Requires-Dist") or []


def _packaging(part: str) -> Any:
    """Slicer brings ``packaging``; where it does not, pip has a copy."""
    try:
        return import_module(f"packaging.{part}")
    except ImportError:
        return import_module(f"pip._vendor.packaging.{part}")

"""MONAI's configuration files, read as values: references are followed, expressions are worked out or refused."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg.bundles.importing.expressions import NotEvaluated, evaluate
from medseg.bundles.json_file import read_object
from medseg.spec.errors import ManifestError, MissingDependency

_DEEPEST = 64  # references that lead to references; more is a circle
_MOST_VALUES = 100_000  # a few lines of references can stand for more values than fit in memory
_REFERENCE = re.compile(r"\$?@([\w:#]+)")
_NAMES = ("inference.json", "inference.yaml", "inference.yml")


class NotALiteral(ManifestError):
    """A value that only running the bundle's code would tell."""


class Config:
    """One configuration file.

    A value is a literal, a list or object of values, ``"@name"`` or ``"$@name"`` for another value of the file (with
    ``::`` or ``#`` between levels), or ``"$"`` before an expression that ``expressions.evaluate`` works out. Everything
    else that begins with ``$``, ``@`` or ``%`` would have to be run: it is named and refused, where it is asked for.

    Args:
        content: the file's object.
        path: of the file, for the messages.
        calls: what an expression may call, as ``evaluate`` takes it.
    """

    def __init__(
        self, content: Mapping[str, Any], path: Path, calls: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> None:
        self.content = content
        self.path = path
        self._calls = calls or {}
        self._looked_at = 0

    def __contains__(self, name: str) -> bool:
        return name in self.content

    def value(self, name: str) -> Any:
        """The value under a name, with everything in it resolved.

        Raises:
            NotALiteral: names the place of an expression, a circle or a reference that leads nowhere.
        """
        return self.resolve(self._look_up(name, name), name)

    def resolve(self, value: Any, place: str, depth: int = 0) -> Any:
        """Replace references inside a value; raises as ``value`` does."""
        self._looked_at += 1
        if self._looked_at > _MOST_VALUES:
            self._refuse(place, value, "belongs to too many values")
        if isinstance(value, dict):
            return {key: self.resolve(entry, f"{place}.{key}", depth) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.resolve(entry, f"{place}[{n}]", depth) for n, entry in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(("$", "@", "%")):
            return value
        if depth > _DEEPEST:
            self._refuse(place, value, "leads round in a circle")
        if reference := _REFERENCE.fullmatch(value.strip()):
            return self.resolve(self._look_up(reference[1], place), place, depth + 1)
        return self._worked_out(value, place, lambda name: self.resolve(self._look_up(name, place), place, depth + 1))

    def joined(self, value: Any, place: str) -> Any:
        """Follow a reference, or work an expression out, with the entries of what it names left as they are."""
        found = self.follow(value, place)
        if not isinstance(found, str) or not found.startswith("$"):
            return found
        return self._worked_out(found, place, lambda name: self.follow(f"@{name}", place))

    def follow(self, value: Any, place: str) -> Any:
        """Follow a reference that is the whole value, one level deep; other values come back as they are."""
        for _ in range(_DEEPEST):
            reference = _REFERENCE.fullmatch(value.strip()) if isinstance(value, str) else None
            if reference is None:
                return value
            value = self._look_up(reference[1], place)
        return self._refuse(place, value, "leads round in a circle")

    def _look_up(self, name: str, place: str) -> Any:
        found: Any = self.content
        for step in re.split(r"::|#", name):
            found = self.follow(found, place)
            found = self.resolve(found, place, _DEEPEST // 2) if isinstance(found, str) else found
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                self._refuse(place, f"@{name}", "names nothing in this file")
        return found

    def _worked_out(self, text: str, place: str, look_up: Callable[[str], Any]) -> Any:
        if text.startswith("$"):
            try:
                return _plain(evaluate(text[1:], look_up, self._calls))
            except (NotEvaluated, ValueError, TypeError, RecursionError):
                pass
        return self._refuse(place, text, "would have to be run, which is not done")

    def _refuse(self, place: str, value: object, reason: str) -> Any:
        msg = f"{self.path}: {place}: {str(value)[:80]!r} {reason}; write the value itself there"
        raise NotALiteral(msg)


def _plain(value: Any) -> Any:
    """A value as JSON has it: arrays become lists, and what is no JSON is a ``ValueError`` or ``TypeError``."""
    return json.loads(json.dumps(value, allow_nan=False, default=lambda array: np.asarray(array).tolist()))


def read_config(folder: Path, calls: Mapping[str, Callable[[Any], Any]] | None = None) -> Config:
    """Read a bundle's inference configuration.

    Args:
        folder: of the bundle; ``configs/inference.json``, ``.yaml`` or ``.yml`` is read, the first that is there. It
            takes the place of ``bundle_root``.
        calls: what an expression may call.

    Raises:
        ManifestError: when there is none, or it is not one object of JSON or YAML.
        MissingDependency: for YAML without the package that reads it.
    """
    for name in _NAMES:
        path = folder / "configs" / name
        if path.is_file():
            content = read_object(path) if path.suffix == ".json" else _read_yaml(path)
            return Config({**content, "bundle_root": str(folder)}, path, calls)
    msg = f"{folder / 'configs'} has none of {', '.join(_NAMES)}; a bundle needs one to say how its network is run"
    raise ManifestError(msg)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        msg = f"{path} is YAML, which needs a package that is not installed: pip install pyyaml"
        raise MissingDependency(msg) from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        msg = f"{path} is not valid YAML: {' '.join(str(error).split())}"
        raise ManifestError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} must hold one YAML object, got {type(content).__name__}"
        raise ManifestError(msg)
    return content

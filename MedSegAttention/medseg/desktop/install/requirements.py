"""What the worker needs of a Python, what is there of it, and what must never be changed; imports none of it."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import invalidate_caches, metadata
from importlib.util import find_spec
from pathlib import Path

TORCH = "torch>=2.6"
KEPT = ("numpy", "scipy", "SimpleITK", "vtk")  # Slicer's own, built or tested with it

# What is installed under a name: its version, "" where it says none, None where it is not there.
Versions = Callable[[str], str | None]

_LINE = re.compile(r"(?P<name>[\w.-]+)\s*(?:>=\s*(?P<minimum>[\d.]+))?$")


@dataclass(frozen=True)
class Requirement:
    """A package and the least version of it."""

    name: str
    minimum: str  # "": any

    def __str__(self) -> str:
        return f"{self.name}>={self.minimum}" if self.minimum else self.name

    def is_met_by(self, version: str | None) -> bool:
        """Whether an installed version will do; one that says nothing about itself will."""
        return version is not None and (not version or _numbers(version) >= _numbers(self.minimum))


NNUNET = Requirement("dynamic-network-architectures", "0.4")  # of models of nnU-Net alone
MONAI = Requirement("monai", "1.4")  # of MONAI's networks alone
HIGHDICOM = Requirement("highdicom", "0.28")  # of DICOM SEG and SR alone
OPENVINO = Requirement("openvino", "2026.1")  # needed by nothing: networks run faster on a processor with it


def read_requirements(path: Path) -> tuple[Requirement, ...]:
    """Torch, and the lines of a requirements file, each a name with or without ``>=``.

    Raises:
        ValueError: for any other line.
    """
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = []
    for line in filter(None, (TORCH, *lines)):
        match = _LINE.match(line)
        if match is None:
            msg = f"a requirement is a name with or without >= and a version, got {line!r}"
            raise ValueError(msg)
        found.append(Requirement(match["name"], match["minimum"] or ""))
    return tuple(found)


def training_requirements(path: Path) -> Path:
    """The file of what a training needs, beside that of what the worker needs."""
    return path.with_name("requirements-training.txt")


def installed_version(name: str) -> str | None:
    """Version of a package in this Python, installed a moment ago or long before; nothing is imported."""
    invalidate_caches()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "" if find_spec(name) is not None else None


@contextmanager
def nothing_else_changes(versions: Versions, names: Sequence[str] = KEPT) -> Iterator[Path]:
    """A constraints file that holds packages at the versions they have, also given to each pip started meanwhile.

    Not every installer takes such a file, but each of them runs pip, which reads ``PIP_CONSTRAINT``.
    """
    pins = [f"{name}==={version}" for name, version in kept_versions(versions, names).items()]
    with tempfile.TemporaryDirectory(prefix="medseg-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        before = os.environ.get("PIP_CONSTRAINT")
        # As an address: pip takes the value apart at spaces, and a user's folder may have one in its name.
        os.environ["PIP_CONSTRAINT"] = " ".join(filter(None, [before, path.resolve().as_uri()]))
        try:
            yield path
        finally:
            if before is None:
                del os.environ["PIP_CONSTRAINT"]
            else:
                os.environ["PIP_CONSTRAINT"] = before


def kept_versions(versions: Versions, names: Sequence[str] = KEPT) -> dict[str, str]:
    """The packages that are kept, where they are there and say which version they are."""
    found = {name: versions(name) for name in names}
    return {name: version for name, version in found.items() if version}


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()

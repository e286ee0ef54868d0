"""The rows of the zoo, read from zoo.toml, and the command that trains one."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).with_name("zoo.toml")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network as the table trains it."""

    key: str  # names its folder
    title: str
    network: str
    window: Sequence[int]  # voxels
    patch: Sequence[int]  # voxels
    batch: int
    slices: str | None = None  # i, j or k: a 2D network on slices across that axis
    rate: float | None = None
    change: Sequence[str] = ()
    fold: int = 0
    seed: int = 0
    note: str = ""  # a sentence below the table
    workers: int = 0  # processes that prepare patches

    def command(self, dataset: Path, output: Path, *, minutes: float, steps: int | None = None) -> list[str]:
        """Arguments of ``python -m medseg`` that train this row, in one process."""
        words = ["train", str(dataset), "--output", str(output), "--network", self.network]
        words += [
            "--fold",
            str(self.fold),
            "--seed",
            str(self.seed),
            "--workers",
            str(self.workers),
            "--batch",
            str(self.batch),
        ]
        words += ["--window", _joined(self.window), "--patch", _joined(self.patch)]
        words += ["--time-limit", f"{minutes * 60:.0f}s"]
        words += [] if steps is None else ["--steps", str(steps)]
        words += [] if self.slices is None else ["--slices", self.slices]
        words += [] if self.rate is None else ["--learning-rate", str(self.rate)]
        return words + [word for change in self.change for word in ("--set", change)]


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A model of the product, scored as it is."""

    key: str
    title: str
    bundle: str  # folder, seen from the repository
    fold: int = 0
    note: str = ""


def read_shipped(path: Path = ROWS) -> list[Shipped]:
    """Models of the product that the table holds."""
    return [Shipped(**each) for each in tomllib.loads(path.read_text(encoding="utf-8")).get("shipped", ())]


def read_rows(path: Path = ROWS, wanted: Sequence[str] = ()) -> list[Row]:
    """Rows in the order of the file; ``wanted`` keys only, where there are any.

    Raises:
        ValueError: when there is no such row, or two have one key.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    common = dict(document["common"])
    shared = tuple(common.pop("change", ()))
    rows = [Row(**{**common, **each, "change": (*shared, *each.get("change", ()))}) for each in document["row"]]
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        msg = f"{path} has two rows with one key; give each a key of its own: {', '.join(keys)}"
        raise ValueError(msg)
    if unknown := [key for key in wanted if key not in keys]:
        msg = f"{path} has no row {unknown[0]!r}; it has {', '.join(keys)}"
        raise ValueError(msg)
    return [row for row in rows if not wanted or row.key in wanted]


def _joined(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))

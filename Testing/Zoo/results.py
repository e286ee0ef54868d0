"""What is kept of a row: every score of every case, what the training took, and its curve; one small JSON file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.training.loop.run_log import LogRow, read_log
from Zoo.rows import Row, Shipped

RESULTS = Path(__file__).with_name("results")
TRAINING, SCORES = "training.json", "scores.json"
_POINTS = 60  # of the loss in a curve


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a row was trained."""

    budget_minutes: float
    cpu_minutes: float
    wall_minutes: float
    steps: int
    learning_rate: float
    precision: str
    patch: list[int]
    batch: int
    dice: list[list[float]]  # (minutes, Dice of the averaged weights on a few held-out cases)
    loss: list[list[float]]  # (minutes, mean loss since the point before)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the table."""

    key: str
    title: str
    note: str
    cases: list[str]
    labels: dict[str, str]  # value -> name
    dice: dict[str, list[float]]  # label value -> one number a case
    hd95_mm: dict[str, list[float | None]]  # None: one of the two masks is empty
    cpu_seconds: float  # a case, median
    parameters: int
    macs: int  # of one window
    window: list[int]
    training: Training | None  # None: shipped with the product


def collect(row: Row | Shipped, folder: Path) -> Result:
    """Put together what a row left in its folder."""
    scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    rows, labels = scores["rows"], {str(value): name for value, name in scores["labels"].items()}
    by_label = {label: [each for each in rows if str(each["label"]) == label] for label in labels}
    return Result(
        key=row.key,
        title=row.title,
        note=row.note,
        cases=[each["case"] for each in next(iter(by_label.values()))],
        labels=labels,
        dice={label: [round(each["dice"], 5) for each in found] for label, found in by_label.items()},
        hd95_mm={label: [_finite(each["hd95_mm"]) for each in found] for label, found in by_label.items()},
        cpu_seconds=round(scores["cpu_seconds"], 4),
        parameters=scores["parameters"],
        macs=scores["macs"],
        window=scores["window"],
        training=_training(folder) if (folder / TRAINING).is_file() else None,
    )


def keep(result: Result, path: Path) -> None:
    """Write a result; numbers of one list share a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**vars(result), "training": result.training and vars(result.training)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def read_results(folder: Path = RESULTS) -> dict[str, Result]:
    """All results of a folder, by key."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        training = document.pop("training")
        found[path.stem] = Result(**document, training=training and Training(**training))
    return found


def _training(folder: Path) -> Training:
    facts: Mapping[str, float] = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
    kept = folder / "bundle" / "docs" / "training"
    plan = json.loads((kept / "plan.json").read_text(encoding="utf-8"))
    recipe, log = plan["training"], read_log(kept / "log.csv")
    return Training(
        budget_minutes=facts["budget_minutes"],
        cpu_minutes=round(facts["cpu_minutes"], 2),
        wall_minutes=round(facts["wall_minutes"], 2),
        steps=log[-1].step,
        learning_rate=recipe["learning_rate"],
        precision="float32" if recipe["precision"] == "auto" else recipe["precision"],
        patch=recipe["patch_shape"] or plan["model"]["window_shape"],
        batch=recipe["batch"],
        dice=[[round(each.seconds / 60, 3), round(each.dice, 4)] for each in log if each.dice is not None],
        loss=_thinned(log),
    )


def _thinned(log: list[LogRow]) -> list[list[float]]:
    """Means of the loss over stretches of the run."""
    length = max(1, math.ceil(len(log) / _POINTS))
    stretches = [log[start : start + length] for start in range(0, len(log), length)]
    return [
        [round(part[-1].seconds / 60, 3), round(sum(each.loss for each in part) / len(part), 4)] for part in stretches
    ]


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None

"""Folds for cross-validation that never put one subject on both sides."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medseg.spec.errors import JobError

DEFAULT_FOLDS = 5
Fold = dict[str, list[str]]  # "train" and "val", as nnU-Net's splits_final.json has them


def make_folds(
    names: Sequence[str], count: int, *, subjects: Mapping[str, str] | None = None, seed: int = 0
) -> list[Fold]:
    """Divide cases into folds of about equal size.

    Args:
        names: of the cases.
        count: folds.
        subjects: case -> subject; None: every case is a subject of its own.
        seed: of the division; the same gives the same.

    Raises:
        JobError: when there are fewer subjects than folds.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(name if subjects is None else subjects[name], []).append(name)
    if not 2 <= count <= len(groups):
        msg = f"{len(groups)} subjects can be divided into 2 to {len(groups)} folds, got {count}; choose another number"
        raise JobError(msg)
    keys = list(groups)
    order = [keys[n] for n in np.random.default_rng(seed).permutation(len(keys))]
    held_out: list[list[str]] = [[] for _ in range(count)]
    for subject in sorted(order, key=lambda key: -len(groups[key])):  # stable: large subjects first, else shuffled
        min(held_out, key=len).extend(groups[subject])
    return [{"train": sorted(set(names) - set(part)), "val": sorted(part)} for part in held_out]


def read_subjects(rule: str, names: Sequence[str]) -> dict[str, str]:
    r"""Find the subject of every case.

    Args:
        rule: a CSV file with the columns ``case`` and ``subject``, or a regular expression whose first group, or whole
            match, in the name of a case is its subject.
        names: of the cases.

    Raises:
        JobError: when the rule cannot be read or leaves cases without a subject; all of them are named.

    Example:
        >>> read_subjects(r"^(p\d+)_", ["p01_left", "p01_right"])
        {'p01_left': 'p01', 'p01_right': 'p01'}
    """
    found = _from_table(Path(rule)) if rule.lower().endswith(".csv") else _from_names(rule, names)
    if missing := [name for name in names if name not in found]:
        msg = (
            f"{len(missing)} cases have no subject by {rule!r}: {', '.join(missing[:10])}; complete or change the rule"
        )
        raise JobError(msg)
    return {name: found[name] for name in names}


def _from_table(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["case"]: row["subject"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} is not a CSV file with the columns case and subject ({error}); write one"
        raise JobError(msg) from error


def _from_names(pattern: str, names: Sequence[str]) -> dict[str, str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"{pattern!r} is neither a .csv file nor a regular expression ({error}); write e.g. '^(sub-\\d+)'"
        raise JobError(msg) from error
    matches = {name: compiled.search(name) for name in names}
    return {name: match[1] if compiled.groups else match[0] for name, match in matches.items() if match}

"""Train every row of the zoo with one recipe and one budget, score it, and write the page and its curves.

Run with ``PYTHONPATH=Testing python -m Zoo.zoo DATASET --minutes 5.5`` (or ``make zoo``), DATASET being MSD's Task04
with its folds in ``splits_final.json``. Rows that are done are skipped, so that it can be stopped at any time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from Zoo.results import RESULTS, SCORES, TRAINING, collect, keep
from Zoo.rows import Row, Shipped, read_rows, read_shipped
from Zoo.table import write_page

_CHECK_STEPS, _CHECK_CASES = 5, 3
_REPOSITORY = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    if asked.score is not None:
        from Zoo.score import write_score

        write_score(asked.score, asked.dataset, asked.fold, asked.output, asked.cases)
        return
    results = asked.output / "check" if asked.check else asked.results
    for row in read_rows(wanted=asked.only):
        folder, result = asked.output / row.key, results / f"{row.key}.json"
        if asked.again or not result.is_file():
            run_row(replace(row, workers=asked.workers), asked.dataset, folder, asked.minutes, check=asked.check)
            keep(collect(row, folder), result)
    for shipped in read_shipped():
        result = results / f"{shipped.key}.json"
        if not asked.only and (asked.again or not result.is_file()):
            run_shipped(shipped, asked.dataset, asked.output / shipped.key, check=asked.check)
            keep(collect(shipped, asked.output / shipped.key), result)
    if not asked.check:
        write_page(results, asked.page)


def run_row(row: Row, dataset: Path, folder: Path, minutes: float, *, check: bool = False) -> None:
    """Train and score one row in child processes of one thread; what was done already is not done again."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle, steps = folder / "bundle", _CHECK_STEPS if check else None
    if not bundle.is_dir():
        taken = _timed(row.command(dataset, bundle, minutes=minutes, steps=steps), folder / "train.txt", "medseg")
        facts = {"budget_minutes": minutes, **taken}
        (folder / TRAINING).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    _score(bundle, dataset, row.fold, folder, check=check)


def run_shipped(shipped: Shipped, dataset: Path, folder: Path, *, check: bool = False) -> None:
    """Score a model that is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    _score(_REPOSITORY / shipped.bundle, dataset, shipped.fold, folder, check=check)


def _score(bundle: Path, dataset: Path, fold: int, folder: Path, *, check: bool) -> None:
    words = [str(dataset), "--score", str(bundle), "--fold", str(fold), "--output", str(folder / SCORES)]
    _timed(words + (["--cases", str(_CHECK_CASES)] if check else []), folder / "score.txt", "Zoo.zoo")


def _timed(words: Sequence[str], log: Path, module: str) -> dict[str, float]:
    """Run a module to its end, on one thread; wall and processor minutes."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {module} {' '.join(words)}\n")
    sys.stdout.flush()
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, "-m", module, *words], env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        sys.exit(f"{module} ended with {done.returncode}; what it said is in {log}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_minutes": (time.monotonic() - begun) / 60, "cpu_minutes": cpu / 60}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path, help="MSD's Task04_Hippocampus, with splits_final.json")
    parser.add_argument("--minutes", type=float, default=5.5, help="training time of a row")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare patches; 0: the one that trains")
    parser.add_argument("--output", type=Path, default=Path("zoo-output"), help="bundles and logs, one folder a row")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what the page is made of, one file a row")
    parser.add_argument("--page", type=Path, default=_REPOSITORY / "docs" / "reference" / "accuracy.md")
    parser.add_argument("--only", nargs="*", default=[], help="keys of the rows to run")
    parser.add_argument("--again", action="store_true", help="also rows that have a result; trained bundles are kept")
    parser.add_argument("--check", action="store_true", help=f"{_CHECK_STEPS} steps and {_CHECK_CASES} cases, no page")
    parser.add_argument("--score", type=Path, help="score this bundle into the file --output and stop")
    parser.add_argument("--fold", type=int, default=0, help="of the cases for --score")
    parser.add_argument("--cases", type=int, help="--score takes the first ones only")
    return parser


if __name__ == "__main__":
    main()

"""Measure the stroke corrector with a simulated user and write docs/reference/correct.md.

python Testing/Benchmarks/correct.py HIPPOCAMPUS VOLUMES [--cases 44] [--write] [--cache FOLDER]

HIPPOCAMPUS is MSD's Task04 with its folds, VOLUMES the folder of ``strokes.cases.FOREIGN``. Without ``--write`` the
page goes to ``build/bench/correct.md``. Where the folders are not there, nothing is measured and nothing is written.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from strokes.baselines import BASELINES
from strokes.cases import Case, emptied, foreign, hippocampi
from strokes.cost import measure_cost
from strokes.page import Measured, page
from strokes.user import Follows, Played, User, play

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = "Correct"
Block: TypeAlias = tuple[str, list[Case], dict[str, Callable[[Grid], Follows]]]
SOME = 16  # cases of the good start that are corrected in other ways
SMALL = 12  # cases of the starts that are far off, as the protocol has it


def blocks(given: argparse.Namespace) -> Iterator[Block]:
    """Each start with its cases and what is measured on it."""
    good = hippocampi(given.hippocampus, "val", given.cache, count=given.cases)
    few = min(SMALL, given.cases)
    blurred = hippocampi(given.hippocampus, "val", given.cache, count=few, blurred=True)
    empty = [emptied(case) for case in good[:few]]
    methods = {OURS: Corrector, **BASELINES}
    yield "good", good, methods
    yield "good, labels alone", [replace(case, plain=True) for case in good[:few]], {OURS: Corrector}
    yield "blurred", blurred, methods
    yield "empty", empty, methods
    for name, case in foreign(given.volumes):
        yield name, [case], methods
    far = [replace(case, reach=25.0) for name, case in foreign(given.volumes) if name == "aorta, empty"]
    yield "aorta, empty, reach 25 mm", far, {OURS: Corrector}


def ways(cases: Sequence[Case]) -> Iterator[tuple[str, list[Played]]]:
    """Strokes in each plane, and clicks that miss."""
    for axis, plane in zip("kji", ("axial", "coronal", "sagittal"), strict=True):
        yield f"{plane} strokes", [play(case, user=User(way=axis)) for case in cases]
    yield "clicks", [play(case) for case in cases]
    missing = [play(case, user=User(jitter=2, seed=number)) for number, case in enumerate(cases)]
    yield "clicks beside the middle, up to 2 voxels", missing


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hippocampus", type=Path)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("--cases", type=int, default=44)
    parser.add_argument("--cache", type=Path, default=CHECKOUT / "build" / "bench" / "strokes")
    parser.add_argument("--results", type=Path, default=CHECKOUT / "build" / "bench" / "correct.json")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--render", action="store_true", help="measure nothing, use the results that are there")
    given = parser.parse_args()
    if not given.render:
        if not (given.hippocampus.is_dir() and given.volumes.is_dir()):
            print(f"{given.hippocampus} and {given.volumes} are not both there: corrections are not measured")
            return
        measure(given)
    found = json.loads(given.results.read_text(encoding="utf-8"))
    folder = CHECKOUT / "docs" / "reference" if given.write else given.results.parent
    (folder / "correct.md").write_text(page(found), encoding="utf-8")


def measure(given: argparse.Namespace) -> None:
    """Play everything, and keep each block as soon as it is done."""
    found: dict[str, list[object]] = {"rows": [], "ways": [], "cost": measure_cost()}
    every = list(blocks(given))
    _play(every, [OURS], found, given.results)
    some = hippocampi(given.hippocampus, "val", given.cache, count=min(SOME, given.cases))
    for name, played in ways(some):
        found["ways"].append(vars(Measured.of("good", name, played)))
        keep(given.results, found)
    _play(every, list(BASELINES), found, given.results)


def _play(every: Sequence[Block], names: Sequence[str], found: dict[str, list[object]], results: Path) -> None:
    for start, cases, methods in every:
        for name in names:
            if name in methods:
                row = Measured.of(start, name, [play(case, methods[name]) for case in cases])
                print(row.line(), flush=True)
                found["rows"].append(vars(row))
                keep(results, found)


def keep(path: Path, found: dict[str, list[object]]) -> None:
    """Write what was measured so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()

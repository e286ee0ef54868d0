"""Measure this computer and write docs/reference/performance.md with its pictures.

Run with ``python Testing/Benchmarks/run.py --full --write``; about 30 minutes on two cores, best when nothing else
runs. Without ``--write`` results go to ``build/bench/`` only; ``--render`` makes the page from what lies there.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from performance import networks, nnunet_models, roofline, stitching, volumes
from performance.machine import conditions, load
from performance.page import page
from performance.plots import draw
from performance.rows import Part, as_json, from_json
from performance.setting import Setting, all_threads, setting_of
from performance.telling import tell

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS: Mapping[str, Callable[[Setting], Part]] = {
    "networks": networks.measure,
    "operators": roofline.measure,
    "volumes": volumes.measure,
    "nnunet": nnunet_models.measure,
    "stitching": stitching.measure,
}
CONDITIONS = "conditions"


def main() -> None:
    """Measure the parts, or read them, and write what was asked for."""
    asked = arguments()
    results = asked.results or CHECKOUT / "build" / "bench" / asked.setting
    if not asked.render:
        measure(asked.setting, asked.minutes, asked.only or list(PARTS), results)
    target = asked.docs if asked.write else results
    write(target, *stored(results))
    tell(f"page: {target / 'performance.md'}")


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="setting", action="store_const", const="quick", help="small sizes")
    size.add_argument("--full", dest="setting", action="store_const", const="full", help="the sizes of the page")
    parser.set_defaults(setting="quick")
    parser.add_argument("--minutes", type=float, default=30.0, help="fewer rounds where they would take longer")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="some parts; results of the others stay")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--render", action="store_true", help="measure nothing, use the results that are there")
    parser.add_argument("--results", type=Path, help="folder of results")
    parser.add_argument("--docs", type=Path, default=CHECKOUT / "docs" / "reference", help="folder of the page")
    return parser.parse_args()


def measure(setting: str, minutes: float, names: Sequence[str], results: Path) -> None:
    """Run parts one after the other and keep each as soon as it is done."""
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{CONDITIONS}.json").write_text(json.dumps(conditions(setting, all_threads())), encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="medseg-bench-") as folder:
        settings = setting_of(setting, minutes=minutes, folder=Path(folder))
        for name in names:
            begun = time.perf_counter()
            when = f"Measured {time.strftime('%Y-%m-%d %H:%M')}, load average {load()} before."
            tell(f"{name}, about {settings[name].seconds / 60:.0f} minutes")
            found = as_json(PARTS[name](settings[name]))
            found["notes"] = [*found["notes"], when]
            found["minutes"] = (time.perf_counter() - begun) / 60
            (results / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
            tell(f"{name} took {found['minutes']:.1f} minutes")


def stored(results: Path) -> tuple[list[Part], dict[str, str]]:
    """What lies in a folder of results."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in results.glob("*.json")}
    return [from_json(read[name]) for name in PARTS if name in read], read.get(CONDITIONS, {})


def write(folder: Path, parts: Sequence[Part], about: Mapping[str, str]) -> None:
    """The page, and its pictures in a folder beside it."""
    pictures = {key: path.relative_to(folder).as_posix() for key, path in draw(parts, folder / "performance").items()}
    (folder / "performance.md").write_text(page(parts, about, pictures), encoding="utf-8")


if __name__ == "__main__":
    main()

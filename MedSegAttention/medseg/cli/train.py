"""``medseg train``: a folder of images and labels becomes a bundle."""

import re
from pathlib import Path
from typing import Annotated

import typer

from medseg.spec.errors import JobError, MissingDependency

DEFAULT_STEPS = 20_000


def train(
    dataset: Annotated[Path, typer.Argument(help="Decathlon folder with dataset.json.")],
    like: Annotated[Path, typer.Option("--like", help="metadata.json that says what to train: any bundle's own.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    folds: Annotated[Path | None, typer.Option(help="JSON list of folds; without it all cases train.")] = None,
    fold: Annotated[int, typer.Option(help="Which fold's training cases to use.")] = 0,
    time_limit: Annotated[str, typer.Option(help="End with a finished schedule after e.g. 30m or 2h.")] = "24h",
    steps: Annotated[int, typer.Option(help="Or after this many steps, whichever comes first.")] = DEFAULT_STEPS,
    batch: Annotated[int, typer.Option(help="Patches a step.")] = 2,
    patch: Annotated[str | None, typer.Option(help="Voxels of a patch, e.g. 32,48,32; the window by default.")] = None,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate (AdamW).")] = 3e-3,
    licence: Annotated[Path | None, typer.Option(help="Text that becomes the bundle's LICENSE.")] = None,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
) -> None:
    """Train a network from scratch on a labelled data set and write the bundle."""
    seconds, shape = parse_duration(time_limit), parse_patch(patch)
    from medseg.bundles.metadata import read_manifest
    from medseg.cli.console import output as console
    from medseg.io.dataset import choose_cases, read_dataset, read_fold

    manifest = read_manifest(like)
    cases = read_dataset(dataset)
    names = list(cases) if folds is None else read_fold(folds, fold)[0]
    files = choose_cases(cases, names)
    licence_text = f"{manifest.licence}\n" if licence is None else licence.read_text(encoding="utf-8")
    try:
        from medseg.training.recipe import Recipe
        from medseg.training.train import train as run
    except ModuleNotFoundError as error:
        msg = f"training needs {error.name}, which is not installed: pip install 'medsegattention[train]'"
        raise MissingDependency(msg) from error
    recipe = Recipe(batch=batch, patch_shape=shape, learning_rate=learning_rate, seed=seed)
    console().print(f"{len(files)} cases, {manifest.network}, {recipe}", markup=False)
    bundle = run(
        files,
        manifest,
        output,
        recipe,
        seconds=seconds,
        steps=steps,
        licence_text=licence_text,
        on_progress=lambda part: console().print(f"{part:.0%} of the run is over"),
    )
    console().print(f"{bundle.folder} is ready; score it with: medseg validate {bundle.folder} {dataset}", markup=False)


def parse_duration(text: str) -> float:
    """Seconds of e.g. ``90s``, ``30m`` or ``2h``.

    Raises:
        JobError: if it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None or float(match[1]) == 0:
        msg = f"a time limit is a number with s, m or h, got {text!r}; write e.g. 30m"
        raise JobError(msg)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def parse_patch(text: str | None) -> tuple[int, int, int] | None:
    """Three numbers of voxels, or None.

    Raises:
        JobError: if it is neither.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        msg = f"a patch is three numbers of voxels with commas, got {text!r}; write e.g. 32,48,32"
        raise JobError(msg)
    i, j, k = (int(part) for part in parts)
    return i, j, k

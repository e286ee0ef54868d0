"""``medseg train``: images with segmentations become a bundle."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.spec.errors import MissingDependency

if TYPE_CHECKING:
    from medseg.training.planning.plan import Plan

_PACKAGES = '"filelock>=3.12" "lightning-fabric>=2.4" ninja'
"""What training needs beside the rest, as pyproject.toml has it: the program itself is on no package index."""


@contextmanager
def _terminated_as_by_ctrl_c() -> Iterator[None]:
    """Let a scheduler's SIGTERM end a run as Ctrl-C does, and put back what was there."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(
    dataset: Annotated[Path, typer.Argument(help="Decathlon or nnU-Net raw folder, or images, or label maps.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    labels: Annotated[Path | None, typer.Option(help="Folder of labels, when DATASET holds images alone.")] = None,
    network: Annotated[str | None, typer.Option("--network", "-n", help="See 'medseg networks'.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Fine-tune this model: its id or its folder.")] = None,
    teachers: Annotated[
        list[str] | None, typer.Option("--teacher", help="Learn a finished model's answers too; repeat.")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A metadata.json that says what to train.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Follow this plan.json and propose nothing.")] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Draw images of any contrast from label maps.")
    ] = False,
    tissues: Annotated[Path | None, typer.Option(help="tissues.json: what the values of label maps mean.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print and save the plan, train nothing.")] = False,
    folds: Annotated[str | None, typer.Option(help="JSON list of folds, or how many to make (5).")] = None,
    fold: Annotated[str, typer.Option(help="Which fold is held out; 'all' trains on every case.")] = "0",
    subjects: Annotated[str | None, typer.Option(help="Regular expression or CSV that tells subjects apart.")] = None,
    time_limit: Annotated[str | None, typer.Option(help="End with a finished schedule after e.g. 30m or 2h.")] = None,
    steps: Annotated[int | None, typer.Option(help="Or after this many steps, whichever comes first.")] = None,
    batch: Annotated[int | None, typer.Option(help="Patches a step.")] = None,
    patch: Annotated[str | None, typer.Option(help="Voxels of a patch, e.g. 32,48,32; the window by default.")] = None,
    window: Annotated[str | None, typer.Option(help="Voxels of the model's window, e.g. 64,64,64.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size of the model in mm, e.g. 1,1,1.")] = None,
    slices: Annotated[str | None, typer.Option(help="Train a 2D network on slices across i, j or k.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE of the plan; repeat.")] = None,
    licence: Annotated[Path | None, typer.Option(help="Text that becomes the bundle's LICENSE.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all random choices.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Processes that prepare patches.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run.")] = False,
) -> None:
    """Train a network on a labelled data set and write the bundle; the same command continues a killed run."""
    from medseg.cli.flag_values import read_axis, read_duration, read_spacing, read_voxels
    from medseg.training.planning.config import TrainingConfig

    config = TrainingConfig(
        dataset=dataset,
        labels=labels,
        output=output,
        network=network,
        start=start,
        teachers=tuple(teachers or ()),
        like=like,
        plan=plan,
        synthetic=synthetic,
        tissues=tissues,
        folds=folds,
        fold=fold,
        subjects=subjects,
        seconds=read_duration(time_limit),
        steps=steps,
        batch=batch,
        patch=read_voxels(patch, "--patch"),
        window=read_voxels(window, "--window"),
        spacing=read_spacing(spacing),
        slice_axis=read_axis(slices),
        learning_rate=learning_rate,
        changes=tuple(change or ()),
        licence=licence,
        seed=seed,
        device=device,
        workers=workers,
        restart=restart,
    )
    config.check()
    try:
        from medseg.training.loop.processes import running_processes
        from medseg.training.planning.plan import write_plan
        from medseg.training.prepare import prepare
        from medseg.training.train import PLAN, run_folder
        from medseg.training.train import train as carry_out
    except ModuleNotFoundError as error:
        msg = f"training needs {error.name}, which is not installed: pip install {_PACKAGES}"
        raise MissingDependency(msg) from error
    from medseg.cli.console import output as console
    from medseg.cli.train_progress import TrainingReporter

    with _terminated_as_by_ctrl_c(), TrainingReporter(silent=running_processes().rank > 0) as reporter:
        planned, training, validation = prepare(config, reporter.note)
        if not reporter.silent:
            _show(planned, f"{len(training)} cases train, {len(validation)} are held out")
        if dry_run:
            folder = run_folder(output)
            folder.mkdir(parents=True, exist_ok=True)
            write_plan(planned, folder / PLAN)
            console().print(f"the plan is in {folder / PLAN}", markup=False)
            return
        bundle = carry_out(config, planned, training, validation, on_note=reporter.note, on_progress=reporter.progress)
    if bundle is not None:
        held_out = f" --folds {bundle.folder / 'docs' / 'training' / 'folds.json'}" if validation else ""
        console().print(
            f"{bundle.folder} is ready; score it with: medseg validate {bundle.folder} {dataset}{held_out} --card NAME",
            markup=False,
            soft_wrap=True,
        )


def _show(plan: "Plan", cases: str) -> None:
    from medseg.cli.console import output as console
    from medseg.cli.console import table
    from medseg.training.planning.plan import describe_plan

    shown = table("", "choice", "value", "why", numbers_from=9)
    for row in describe_plan(plan):
        shown.add_row(*row)
    console().print(shown)
    console().print(cases)

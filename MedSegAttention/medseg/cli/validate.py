"""``medseg validate``: a model against experts, and the result in its model card."""

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from medseg.cli.options import with_options
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.option import options_of

_HOW = {"device", "precision", "engine", "window_batch"}  # options that say how a model is run, not what it is to give


@with_options
def validate(
    model: Annotated[str, typer.Argument(help="Id of a model, or the folder of a bundle.")],
    dataset: Annotated[Path, typer.Argument(help="Decathlon or nnU-Net raw folder, or a folder of images.")],
    options: Options,
    labels: Annotated[Path | None, typer.Option(help="Folder of labels, when DATASET holds images alone.")] = None,
    folds: Annotated[Path | None, typer.Option(help="JSON list of folds; without it all cases are used.")] = None,
    fold: Annotated[
        int | None, typer.Option(help="Which of --folds gives the cases; the first, 0, by default.")
    ] = None,
    card: Annotated[
        str | None, typer.Option(help="Write the scores into the model card under this name of the data.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every case and label here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CSV file.")] = False,
) -> None:
    """Segment labelled cases, as they are and mirrored, and score the results."""
    from medseg.bundles.catalogue import open_bundle
    from medseg.cli.console import errors, output, table
    from medseg.inference.device import choose_device
    from medseg.io.atomic import check_target
    from medseg.io.dataset import choose_cases, read_dataset
    from medseg.jobs.scoring.validate import validate as run
    from medseg.jobs.scoring.validate import write_scores
    from medseg.jobs.scoring.window_memory import window_memory_mb

    if card is not None:
        for name, about in options_of(Options).items():
            if name not in _HOW and getattr(options, name) != about.default:
                msg = (
                    f"a model card says what the model scores as its manifest says, got another "
                    f"{about.title.lower()} beside --card {card!r}; leave one of them out"
                )
                raise JobError(msg)
    if csv is not None:
        check_target(csv, overwrite=overwrite)
    bundle = open_bundle(model)
    cases = read_dataset(dataset, labels)
    files = choose_cases(cases, _names(list(cases), folds, fold))
    with typer.progressbar(length=len(files), label="segmenting") as bar:
        result = run(bundle, files, options, on_case=lambda *_: bar.update(1))
    names = {label.value: label.name for label in bundle.manifest.labels}
    shown = table("", "cases", "segment", "Dice", "surface Dice 1 mm", "HD95 mm", "volume difference %")
    for title, evaluation in (("as they are", result.plain), ("sides exchanged", result.mirrored)):
        for scores in evaluation.summary:
            figures = (scores.dice, scores.surface_dice, scores.hd95_mm, scores.volume_difference_percent)
            shown.add_row(title, names[scores.label], *("-" if isnan(each) else f"{each:.4f}" for each in figures))
        shown.add_row(title, "mean", f"{evaluation.mean_dice():.4f}", "", "", "", end_section=True)
    output().print(shown)
    timing = result.timing
    took = f"median {timing.seconds_per_case} s a case on {timing.device} ({timing.device_kind})"
    output().print(f"{len(files)} cases, {took}", markup=False)
    output().print(f"engine: {result.engine}", markup=False)
    for warning in result.warnings:
        errors().print(f"warning: {warning}", style="yellow", markup=False)
    if card is not None:
        window_mb = window_memory_mb(bundle, choose_device(options.device))
        write_scores(bundle, result, dataset=card, window_mb=window_mb)
        output().print(f"{bundle.folder}/docs/README.md now says so", markup=False)
    if csv is not None:
        result.plain.write_csv(csv, overwrite=overwrite)


def _names(every: list[str], folds: Path | None, fold: int | None) -> list[str]:
    """The cases to segment: those a fold holds out, or all."""
    from medseg.io.dataset import read_fold

    if folds is not None:
        return read_fold(folds, fold or 0)[1]
    if fold is not None:
        msg = f"--fold chooses one of --folds, got --fold {fold} alone; give both, or neither for all cases"
        raise JobError(msg)
    return every

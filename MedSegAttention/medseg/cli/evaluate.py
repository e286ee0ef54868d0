"""``medseg evaluate``: predictions against references, as a table and as CSV."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.spec.errors import JobError

if TYPE_CHECKING:
    from medseg.bundles.catalogue import Bundle
    from medseg.jobs.scoring.evaluate import Evaluation

_SIZES = {
    ("volume_ml", "volume_difference_ml"): ("volume ml", "difference ml"),
    ("area_cm2", "area_difference_cm2"): ("area cm2", "difference cm2"),
}


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="File or folder of predicted labels.")],
    references: Annotated[Path, typer.Argument(help="File or folder of true labels; matched by name.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every case and label here.")] = None,
    labels: Annotated[str | None, typer.Option(help="Values to score, e.g. 1,2; all by default.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CSV file.")] = False,
    card: Annotated[str | None, typer.Option(help="Model that predicted: write the scores into its card.")] = None,
    dataset: Annotated[str, typer.Option(help="What the cases are, for the card.")] = "",
) -> None:
    """Score predictions: Dice, surface Dice at 1 mm, 95 % Hausdorff distance, difference of sizes."""
    values = _values(labels)
    from medseg.bundles.catalogue import open_bundle
    from medseg.cli.console import errors, output, table
    from medseg.io.atomic import check_target
    from medseg.jobs.scoring.evaluate import evaluate as score

    if csv is not None:
        check_target(csv, overwrite=overwrite)
    bundle = None if card is None else open_bundle(card)
    result = score(predictions, references, values, () if bundle is None else bundle.manifest.labels)
    rows = [*((row.case, row.scores) for row in result.rows), *(("mean", scores) for scores in result.summary)]
    sizes = [
        (names, headings)
        for names, headings in _SIZES.items()
        if not all(math.isnan(getattr(scores, names[0])) for _, scores in rows)
    ]
    headings = [heading for _, pair in sizes for heading in pair]
    segment = ["segment"] if result.names else []
    shown = table("", "case", "label", *segment, "Dice", "surface Dice 1 mm", "HD95 mm", *headings, "difference %")
    for number, (case, scores) in enumerate(rows, start=1):
        shown.add_row(
            case,
            str(scores.label),
            *([result.names.get(scores.label, "-")] if result.names else []),
            _number(scores.dice, 4),
            _number(scores.surface_dice, 4),
            _number(scores.hd95_mm, 2),
            *(_number(getattr(scores, name), 3) for names, _ in sizes for name in names),
            _number(scores.volume_difference_percent, 1),
            end_section=number == len(result.rows),
        )
    output().print(shown)
    left_out = [f"{path} has no partner and was left out" for path in result.unmatched]
    for warning in (*left_out, *result.warnings):
        errors().print(f"warning: {warning}", style="yellow", markup=False)
    if csv is not None:
        result.write_csv(csv, overwrite=overwrite)
    if bundle is not None:
        _write_card(bundle, result, dataset or references.name)


def _write_card(bundle: "Bundle", result: "Evaluation", dataset: str) -> None:
    from medseg.cli.console import output
    from medseg.jobs.scoring.validate import write_evaluation

    write_evaluation(bundle, result, dataset=dataset)
    output().print(f"{bundle.folder}/docs/README.md now says so", markup=False)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _values(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"--labels takes whole numbers with commas, got {text!r}; write e.g. --labels 1,2"
        raise JobError(msg) from error
    if any(value < 1 for value in values):
        msg = f"labels count from 1, 0 is background, got {text!r}; write e.g. --labels 1,2"
        raise JobError(msg)
    return values

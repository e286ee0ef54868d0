"""``medseg correct``: a result and strokes in, the corrected result out."""

from pathlib import Path
from typing import Annotated

import typer


def correct(
    result: Annotated[Path, typer.Argument(help="Segmentation to correct: .seg.nrrd, or labels in any format.")],
    strokes: Annotated[Path, typer.Option(help="JSON of strokes, or a .seg.nrrd that keeps strokes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".seg.nrrd, .nii.gz, .nii, .nrrd or .mha")],
    image: Annotated[Path | None, typer.Option(help="What was segmented: grey values help.")] = None,
    probabilities: Annotated[Path | None, typer.Option(help="Of the result, as segment --probabilities wrote.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
) -> None:
    """Replay strokes on a result; those whose segment is not there are listed."""
    from medseg.cli.console import errors, table
    from medseg.cli.console import output as console
    from medseg.jobs.correct import check_output
    from medseg.jobs.correct import correct as replay

    given = [path for path in (result, strokes, image, probabilities) if path is not None]
    check_output(output, given, overwrite=overwrite)
    found = replay(result, strokes, image=image, probabilities=probabilities)
    found.save(output, overwrite=overwrite)
    shown = table("", "stroke of", "", "voxels changed", numbers_from=2)
    earlier = len(found.strokes) - len(found.changed)
    for stroke, changed in zip(found.strokes[earlier:], found.changed, strict=True):
        shown.add_row(stroke.label, "removed" if stroke.remove else "", str(changed))
    console().print(shown)
    for missed in found.not_replayed:
        errors().print(f"warning: not replayed: {missed.reason}", style="yellow", markup=False)
    console().print(f"wrote {output}", markup=False, soft_wrap=True)

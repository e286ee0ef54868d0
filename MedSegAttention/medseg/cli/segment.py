"""``medseg segment``: flags in, files and a table out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.cli.options import OUTPUT_HELP, ModelId, with_options
from medseg.spec.job import Job, Options

if TYPE_CHECKING:
    from medseg.jobs.run.results import Segmentation

_SIZE_HEADINGS = {"ml": ("volume ml",), "cm2": ("area cm2",), "voxels": ()}


@with_options
def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="File or DICOM folder; several are channels of one case."),
    ],
    model: ModelId,
    output: Annotated[str, typer.Option("--output", "-o", help=f"{OUTPUT_HELP}.")],
    options: Options,
    frame: Annotated[int | None, typer.Option(help="Time point or DICOM acquisition of the input, from 0.")] = None,
    probabilities: Annotated[str | None, typer.Option(help="Also write probabilities, one channel a label.")] = None,
    preview: Annotated[str | None, typer.Option(help="Also draw a .png: three planes and a surface.")] = None,
    measures: Annotated[
        str | None,
        typer.Option(help="Also write sizes and codes: .csv or .json; beside a DICOM SEG also .dcm (DICOM SR)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    forecast: Annotated[bool, typer.Option("--forecast", help="Say what it will take, and stop there.")] = False,
) -> None:
    """Segment one case."""
    job = Job(
        inputs=tuple(inputs),
        model=model,
        output=output,
        options=options,
        probabilities=probabilities,
        preview=preview,
        measures=measures,
        overwrite=overwrite,
        frame=frame,
    )
    from medseg.cli.console import Reporter, forecast_words
    from medseg.cli.console import output as console
    from medseg.jobs.run.run_job import forecast_job, run_job

    if forecast:
        console().print(forecast_words(forecast_job(job)), markup=False, soft_wrap=True)
        return

    with Reporter() as reporter:
        result = run_job(job, reporter, on_forecast=reporter.show_forecast)
    _show(result, job)


def _show(result: "Segmentation", job: Job) -> None:
    from medseg.cli.console import output, table

    unit = result.image.size_unit
    counted = "voxels" if result.image.flat_axis is None else "pixels"
    shown = table("", "segment", counted, *_SIZE_HEADINGS[unit], "mean intensity")
    for row in result.measures:
        mean = "-" if row.voxels == 0 else f"{row.mean_intensity:.1f}"
        sizes = () if unit == "voxels" else (f"{result.image.size(row.voxels):.3f}",)
        shown.add_row(row.name, str(row.voxels), *sizes, mean)
    console = output()
    console.print(shown)
    if unit == "voxels":
        console.print(f"{counted[:-1]} size: unknown, so sizes are numbers of {counted}", markup=False)
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in result.seconds.items())
    console.print(f"device: {result.device}", markup=False, soft_wrap=True)
    console.print(f"engine: {result.engine}", markup=False, soft_wrap=True)
    console.print(f"time: {sum(result.seconds.values()):.1f} s ({seconds})", markup=False)
    for path in (job.output, job.probabilities, job.preview, job.measures):
        if path is not None:
            console.print(f"wrote {Path(path)}", markup=False, soft_wrap=True)

"""``medseg batch``: a folder or a list of cases in, segmentations and a report out; goes on where it stopped."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.cli.options import OUTPUT_HELP, ModelId, with_options
from medseg.spec.job import Options

if TYPE_CHECKING:
    from rich.console import Console

    from medseg.jobs.batch.report import BatchReport, CaseRow

EXIT_CASES = 1


@with_options
def batch(
    source: Annotated[
        Path, typer.Argument(help="Folder of images or DICOM series, or a CSV file with the columns case and image.")
    ],
    model: ModelId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results and the report.")],
    options: Options,
    suffix: Annotated[str, typer.Option(help=f"{OUTPUT_HELP}.")] = ".seg.nrrd",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs made in another way.")] = False,
) -> None:
    """Segment every case of a folder or a list; the same command again goes on where it stopped."""
    from medseg import __version__
    from medseg.cli.console import Reporter
    from medseg.inference.device import choose_device
    from medseg.jobs.batch.run_batch import segment_folder
    from medseg.jobs.run.kept_engines import KeptEngines
    from medseg.jobs.run.loaded_networks import LoadedNetworks
    from medseg.jobs.run.run_job import run_job

    engines = KeptEngines()
    networks = LoadedNetworks(limit=1, dropped=engines.forget)
    choose_device(options.device)  # refused here rather than in every case
    with Reporter() as reporter:
        report = segment_folder(
            source,
            model,
            output,
            run=partial(run_job, load=networks.load, engines=engines),
            options=options,
            suffix=suffix,
            overwrite=overwrite,
            versions={"medseg": __version__},
            on_case=partial(_show_case, reporter.console),
            on_event=reporter,
        )
    _show(report)
    if not report.is_complete:
        raise typer.Exit(EXIT_CASES)


def _show_case(console: "Console", number: int, total: int, row: "CaseRow") -> None:
    """One line a case when it has ended."""
    if row.status == "running":
        return
    place = f"{number}/{total} {row.case}"
    if row.status == "done":
        console.print(f"{place}: done in {row.seconds or 0:.1f} s on {row.device} by {row.engine}", markup=False)
    else:
        console.print(f"{place}: {row.status} {' '.join(row.error.split())}".rstrip(), style="red", markup=False)


def _show(report: "BatchReport") -> None:
    from medseg.cli.console import output

    console = output()
    words = [f"{report.count('done')} of {report.total} done"]
    if report.skipped:
        words.append(f"{report.skipped} of them before")
    if report.count("failed"):
        words.append(f"{report.count('failed')} failed")
    console.print(", ".join(words), markup=False)
    for path in (report.csv_path, report.html_path):
        console.print(f"wrote {path}", markup=False, soft_wrap=True)

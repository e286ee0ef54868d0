"""``medseg batch``: a folder or a list of cases in, segmentations and a report out; goes on where it stopped."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.cli.choices import (
    DeviceName,
    EngineChoice,
    FillHoles,
    KeepLargest,
    MinIsland,
    Mirror,
    ModelId,
    Overlap,
    PrecisionName,
    Region,
    WindowBatch,
    changed_rule,
    read_roi,
)
from medseg.spec.job import Options

if TYPE_CHECKING:
    from rich.console import Console

    from medseg.jobs.batch.report import BatchReport, CaseRow

EXIT_CASES, EXIT_INTERRUPTED = 1, 130


def batch(
    source: Annotated[
        Path, typer.Argument(help="Folder of images or DICOM series, or a CSV file with the columns case and image.")
    ],
    model: ModelId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results and the report.")],
    suffix: Annotated[str, typer.Option(help=".seg.nrrd, .nii.gz, .nii, .nrrd or .mha")] = ".seg.nrrd",
    roi: Region = None,
    device: DeviceName = "auto",
    overlap: Overlap = None,
    mirror: Mirror = None,
    precision: PrecisionName = "float32",
    engine: EngineChoice = "auto",
    window_batch: WindowBatch = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs made in another way.")] = False,
    keep_largest: KeepLargest = None,
    min_island_mm3: MinIsland = None,
    fill_holes_mm3: FillHoles = None,
) -> None:
    """Segment every case of a folder or a list; the same command again goes on where it stopped."""
    options = Options(
        device=device,
        overlap=overlap,
        mirror=mirror,
        window_batch=window_batch,
        precision=precision,  # type: ignore[arg-type] # Options checks it
        engine=engine,  # type: ignore[arg-type] # Options checks it
        roi_ras_mm=read_roi(roi),
        postprocess=changed_rule(model, keep_largest, min_island_mm3, fill_holes_mm3),
    )
    from medseg import __version__
    from medseg.cli.console import Reporter, errors
    from medseg.inference.device import choose_device
    from medseg.jobs.batch.run_batch import segment_folder
    from medseg.jobs.run.kept_engines import KeptEngines
    from medseg.jobs.run.loaded_networks import LoadedNetworks
    from medseg.jobs.run.run_job import run_job

    engines = KeptEngines()
    networks = LoadedNetworks(limit=1, dropped=engines.forget)
    choose_device(device)  # refused here rather than in every case
    try:
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
                on_case=partial(_tell, reporter.console),
                on_event=reporter,
            )
    except KeyboardInterrupt:
        errors().print("interrupted; what is done is kept, and the same command goes on from there", markup=False)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _show(report)
    if not report.is_complete:
        raise typer.Exit(EXIT_CASES)


def _tell(console: "Console", number: int, total: int, row: "CaseRow") -> None:
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
    told = [f"{report.count('done')} of {report.total} done"]
    if report.skipped:
        told.append(f"{report.skipped} of them before")
    if report.count("failed"):
        told.append(f"{report.count('failed')} failed")
    console.print(", ".join(told), markup=False)
    for path in (report.csv_path, report.html_path):
        console.print(f"wrote {path}", markup=False, soft_wrap=True)

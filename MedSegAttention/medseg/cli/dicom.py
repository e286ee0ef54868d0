"""``medseg dicom``: segments that were drawn or mended elsewhere, as DICOM SEG of the series they lie on."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medseg.spec.algorithm import Algorithm


def dicom(
    labels: Annotated[Path, typer.Argument(help=".seg.nrrd with the segments, on the grid of the series.")],
    series: Annotated[Path, typer.Argument(help="DICOM folder or file of the series.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".dcm (DICOM SEG) or .labelmap.dcm.")],
    measures: Annotated[Path | None, typer.Option(help="Also write the volumes: .dcm (DICOM SR).")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model that the segments began with.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
) -> None:
    """Write segments of a file as DICOM SEG; they count as looked at by a person."""
    from medseg.cli.console import Reporter
    from medseg.cli.console import output as console
    from medseg.io.read import read_image
    from medseg.jobs.export_job import run_export
    from medseg.jobs.run.dicom_outputs import check_dicom_input
    from medseg.spec.export_job import ExportJob

    check_dicom_input(output, series)
    job = ExportJob(
        labels=str(labels),
        files=tuple(map(str, read_image(series).sources)),
        output=str(output),
        algorithm=_algorithm(model),
        report=None if measures is None else str(measures),
        overwrite=overwrite,
    )
    with Reporter() as reporter:
        run_export(job, reporter, lambda: False)
    for path in filter(None, (output, measures)):
        console().print(f"wrote {path}", markup=False, soft_wrap=True)


def _algorithm(model: str | None) -> Algorithm:
    from medseg.spec.version import program_version

    if model is None:
        program = f"MedSegAttention {program_version()}"
        return Algorithm(
            name="MedSegAttention", model_id="none", version=program_version(), program=program, edited=True
        )
    from medseg.bundles.catalogue import open_bundle
    from medseg.jobs.run.dicom_outputs import DicomOrigin

    return replace(DicomOrigin(files=(), bundle=open_bundle(model)).algorithm, edited=True)

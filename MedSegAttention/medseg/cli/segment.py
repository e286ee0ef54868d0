"""``medseg segment``: flags in, files and a table out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg.spec.errors import JobError
from medseg.spec.job import Job, Options
from medseg.spec.manifest import PostprocessRule

if TYPE_CHECKING:
    from medseg.jobs.segment import Segmentation


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="File or DICOM folder; several are channels of one case."),
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="Id of a model; see 'medseg models'.")],
    output: Annotated[str, typer.Option("--output", "-o", help=".seg.nrrd, .nii.gz, .nii, .nrrd or .mha")],
    roi: Annotated[str | None, typer.Option(help="R-,R+,A-,A+,S-,S+ in mm: segment only this region.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps")] = "auto",
    overlap: Annotated[float | None, typer.Option(help="Share of a window its neighbour sees, 0 to 0.9.")] = None,
    mirror: Annotated[bool | None, typer.Option("--mirror/--no-mirror", help="Average over flipped copies.")] = None,
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16")] = "float32",
    window_batch: Annotated[int, typer.Option(help="Windows computed at a time.")] = 1,
    frame: Annotated[int | None, typer.Option(help="Time point of a 4-D input, from 0.")] = None,
    probabilities: Annotated[str | None, typer.Option(help="Also write probabilities, one channel a label.")] = None,
    preview: Annotated[str | None, typer.Option(help="Also draw a .png: three planes and a surface.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    keep_largest: Annotated[
        bool | None, typer.Option("--keep-largest/--no-keep-largest", help="Keep the largest part of each segment.")
    ] = None,
    min_island_mm3: Annotated[float | None, typer.Option(help="Remove smaller parts.")] = None,
    fill_holes_mm3: Annotated[float | None, typer.Option(help="Fill holes up to this size.")] = None,
) -> None:
    """Segment one case."""
    job = Job(
        inputs=tuple(inputs),
        model=model,
        output=output,
        options=Options(
            device=device,
            overlap=overlap,
            mirror=mirror,
            window_batch=window_batch,
            precision=precision,  # type: ignore[arg-type] # Options checks it
            roi_ras_mm=_roi(roi),
            postprocess=_postprocess(model, keep_largest, min_island_mm3, fill_holes_mm3),
        ),
        probabilities=probabilities,
        preview=preview,
        overwrite=overwrite,
        frame=frame,
    )
    from medseg.cli.console import Reporter
    from medseg.jobs.run_job import run_job

    with Reporter() as reporter:
        result = run_job(job, reporter)
    _show(result, job)


def _roi(text: str | None) -> tuple[float, float, float, float, float, float] | None:
    if text is None:
        return None
    try:
        r0, r1, a0, a1, s0, s1 = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"--roi takes six numbers R-,R+,A-,A+,S-,S+ in mm, got {text!r}; write e.g. --roi=-40,0,-50,10,-40,20"
        raise JobError(msg) from error
    return r0, r1, a0, a1, s0, s1


def _postprocess(
    model: str, keep_largest: bool | None, min_island_mm3: float | None, fill_holes_mm3: float | None
) -> PostprocessRule | None:
    """Replace what was given in the model's own rule; None when nothing was."""
    if keep_largest is None and min_island_mm3 is None and fill_holes_mm3 is None:
        return None
    from medseg.bundles.catalogue import find_bundle

    own = find_bundle(model).manifest.postprocess
    return PostprocessRule(
        keep_largest=own.keep_largest if keep_largest is None else keep_largest,
        min_island_mm3=own.min_island_mm3 if min_island_mm3 is None else min_island_mm3,
        fill_holes_mm3=own.fill_holes_mm3 if fill_holes_mm3 is None else fill_holes_mm3,
    )


def _show(result: "Segmentation", job: Job) -> None:
    from medseg.cli.console import output, table

    shown = table("", "segment", "voxels", "volume ml", "mean intensity")
    for row in result.measures:
        mean = "-" if row.voxels == 0 else f"{row.mean_intensity:.1f}"
        shown.add_row(row.name, str(row.voxels), f"{row.volume_ml:.3f}", mean)
    console = output()
    console.print(shown)
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in result.seconds.items())
    console.print(f"device: {result.device}", markup=False)
    console.print(f"time: {sum(result.seconds.values()):.1f} s ({seconds})", markup=False)
    for path in (job.output, job.probabilities, job.preview):
        if path is not None:
            console.print(f"wrote {Path(path)}", markup=False, soft_wrap=True)

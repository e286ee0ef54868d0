"""Segments of a file, drawn or mended by hand too, become a DICOM SEG of the series they lie on."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medseg.io.atomic import check_target, replacing_all
from medseg.io.dicom_results.optional import require_highdicom
from medseg.io.dicom_results.source import open_source
from medseg.io.dicom_results.write_seg import make_segmentation
from medseg.io.dicom_results.write_sr import make_report
from medseg.io.formats import is_labelmap_name, output_suffix
from medseg.io.segnrrd import read_segnrrd
from medseg.spec.errors import Cancelled, ImageError, JobError
from medseg.spec.events import Event, Finished, Progress, Warned
from medseg.spec.export_job import ExportJob


def run_export(job: ExportJob, on_event: Callable[[Event], None], cancelled: Callable[[], bool]) -> None:
    """Write the segments and, where it is wanted, their volumes.

    Args:
        job: what to do.
        on_event: hears Progress, a Warned for each oddity of the series and, last, Finished.
        cancelled: asked before the files appear.

    Raises:
        Cancelled: when it was called off; nothing is left then.
        MissingDependency: if highdicom is not installed.
        ImageError: if a file cannot be read, or the segments do not lie on the slices of the series.
        JobError: if the names are not those of DICOM files, or the headers do not allow a DICOM SEG.
        OutputExists: if a file is there and may not be replaced.
    """
    begun = time.monotonic()
    output, report = Path(job.output), None if job.report is None else Path(job.report)
    outputs = [output] if report is None else [output, report]
    _check(outputs, job)
    on_event(Progress("read", 0, 1))
    labels, specs = read_segnrrd(Path(job.labels))
    if not specs:
        msg = f"{job.labels}: a DICOM SEG is made of segments with names and codes, and it has none; give a .seg.nrrd"
        raise ImageError(msg)
    source = open_source([Path(file) for file in job.files], labels)
    for warning in source.warnings:
        on_event(Warned(warning))
    on_event(Progress("write", 0, 1))
    labelmap = is_labelmap_name(output)
    segments = make_segmentation(source, labels, specs, job.algorithm, labelmap=labelmap)
    volumes = [labels.volume_ml(int(np.count_nonzero(labels.array == spec.value))) for spec in specs]
    with replacing_all(outputs, overwrite=job.overwrite) as temporary:
        segments.save_as(temporary[0])
        if report is not None:
            make_report(source, segments, volumes, specs, job.algorithm).save_as(temporary[1])
        if cancelled():
            raise Cancelled
    on_event(Finished(tuple(map(str, outputs)), "CPU", time.monotonic() - begun))


def _check(outputs: list[Path], job: ExportJob) -> None:
    for path in outputs:
        if not output_suffix(path).endswith(".dcm"):
            msg = f"{path}: a DICOM file's name ends in .dcm, got {path.name!r}; choose such a name"
            raise JobError(msg)
        if any(path.resolve() == Path(file).resolve() for file in job.files):
            msg = f"{path} is a slice of the series and the output at once; choose another name"
            raise JobError(msg)
        check_target(path, overwrite=job.overwrite)
    require_highdicom(f"{outputs[0]}: DICOM")

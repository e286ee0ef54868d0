"""A whole folder, case by case: a failed case never stops the rest, and what was interrupted goes on. No torch."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.imaging.overlap import covered, covered_words
from medseg.inference.run_plan import result_labels
from medseg.io.atomic import check_target
from medseg.io.formats import SEGMENT_SUFFIXES, WRITE_SUFFIXES, output_suffix
from medseg.io.read import read_image, read_labels, read_layers
from medseg.io.write import write_segmentation
from medseg.jobs.batch.cases import Case, find_cases
from medseg.jobs.batch.report import SIZES, BatchReport, CaseRow
from medseg.jobs.batch.state import BatchState
from medseg.jobs.run.progress import IsCancelled, OnEvent, ignore_event, never
from medseg.jobs.run.results import Outputs
from medseg.jobs.worker.serve import RunJob
from medseg.spec.errors import EXPECTED_ERRORS, Cancelled, JobError, MedSegError
from medseg.spec.events import Event, Finished, Warned
from medseg.spec.job import Job, Options
from medseg.spec.manifest import ModelManifest

OnCase: TypeAlias = Callable[[int, int, CaseRow], None]
"""Hears the number of a case from 1, how many there are, and its row: when it begins, and when it has ended."""


@dataclass(frozen=True, eq=False)
class CaseRunner:
    """How cases are run."""

    bundle: Bundle
    run: RunJob
    options: Options
    overwrite: bool
    on_event: OnEvent
    cancelled: IsCancelled

    @property
    def manifest(self) -> ModelManifest:
        """What the model says of itself."""
        return self.bundle.manifest


def ignore_case(number: int, total: int, row: CaseRow) -> None:
    """Listen to nothing."""
    del number, total, row


def segment_folder(
    source: Path,
    model: str | Bundle,
    output_folder: Path,
    *,
    run: RunJob,
    options: Options = Options(),  # noqa: B008 - frozen
    suffix: str = ".seg.nrrd",
    overwrite: bool = False,
    versions: Mapping[str, str] | None = None,
    on_case: OnCase = ignore_case,
    on_event: OnEvent = ignore_event,
    cancelled: IsCancelled = never,
) -> BatchReport:
    """Segment every case of a folder or a CSV list and keep a report beside the results.

    A case that an earlier batch did with the same model, weights, options and images, by what they hold, is not done
    again. Outputs
    appear whole, and the report is replaced before and after each case, so that a batch which was ended in any way
    goes on where it stopped when it is run again. One batch at a time can use an output folder.

    Args:
        source: folder or CSV file; see ``find_cases``.
        model: a bundle, or the id of one.
        output_folder: for the outputs, ``report.csv`` and ``report.html``; made when it is not there.
        run: does a job, as ``run_job`` does or in another process.
        options: for all cases.
        suffix: how outputs are written: ".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", or of DICOM series ".dcm"
            (DICOM SEG) or ".labelmap.dcm".
        overwrite: whether outputs may be replaced that another model or other options made, or somebody else.
        versions: of the programs that take part, for the report.
        on_case: hears each row when it begins and when it ends.
        on_event: hears the events of each case.
        cancelled: asked between cases and between windows; True stops.

    Raises:
        JobError: if there is no case, two have one name, one would take the place of another one's image, or the report
            cannot be written.
        OutputExists: if the folder holds a report that is none of ours, or an output that another recipe made.
        ModelNotFound: if there is no such model.
    """
    if suffix not in WRITE_SUFFIXES:
        msg = f"outputs end in one of {', '.join(WRITE_SUFFIXES)}, got {suffix!r}; choose one of these"
        raise JobError(msg)
    if source.is_dir() and output_folder.resolve() == source.resolve():
        msg = f"{output_folder} is the folder of the images; choose another one for the results"
        raise JobError(msg)
    bundle = model if isinstance(model, Bundle) else open_bundle(model)
    cases = find_cases(source, bundle.manifest, output_folder, suffix)
    _check_images_stay(cases, output_folder)
    state = BatchState(source, output_folder, cases, bundle, options, versions or {})
    runner = CaseRunner(bundle, run, options, overwrite, on_event, cancelled)
    skipped = 0
    try:
        if not overwrite:
            state.check_outputs()
        for number, case in enumerate(cases, start=1):
            if cancelled():
                break
            if state.done(case) is not None:
                skipped += 1
            elif _attempt(case, state, runner, partial(on_case, number, len(cases))).status == "cancelled":
                break
    finally:
        state.clear()
    state.check_written()
    return BatchReport(output_folder, state.rows, len(cases), skipped)


def _check_images_stay(cases: Sequence[Case], folder: Path) -> None:
    """Refuse a result that would take the place of the image of another case, which may not have been read yet."""
    owners: dict[tuple[int, int], Case] = {}
    for case in cases:
        for name in case.inputs:
            with suppress(OSError):  # said when its turn comes
                owners.setdefault(_file_id(Path(name)), case)
    for case in cases:
        with suppress(OSError):  # there is no such file yet
            owner = owners.get(_file_id(folder / case.output), case)
            if owner is not case:
                both = f"the image of {owner.name!r} and the output of {case.name!r} at once"
                msg = f"{folder / case.output} is {both}; choose another name or another output folder"
                raise JobError(msg)


def _file_id(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _attempt(case: Case, state: BatchState, runner: CaseRunner, on_row: Callable[[CaseRow], None]) -> CaseRow:
    """Run a case and write down what became of it, whatever that is."""
    may_replace = runner.overwrite or state.is_ours(case)
    row = state.begin(case)
    state.put(row)
    on_row(row)
    begun = time.monotonic()
    warnings: list[str] = []
    try:
        row = _run(case, row, state, runner, warnings, may_replace=may_replace)
    except (Cancelled, KeyboardInterrupt) as error:
        row = replace(row, status="cancelled")
        if isinstance(error, KeyboardInterrupt):
            state.put(row)
            raise
    except EXPECTED_ERRORS as error:
        words = str(error) if isinstance(error, MedSegError) else f"{type(error).__name__}: {error}"
        hidden = re.escape(str(state.work)) + r"[\\/]output[.\w]*"  # a name that the user never gave
        words = re.sub(hidden, lambda _: str(state.output(case)), words)
        row = replace(row, status="failed", error=words)
    row = replace(row, seconds=round(time.monotonic() - begun, 2), warnings=tuple(warnings))
    state.put(row)
    on_row(row)
    return row


def _run(
    case: Case, row: CaseRow, state: BatchState, runner: CaseRunner, warnings: list[str], *, may_replace: bool
) -> CaseRow:
    """Compute beside the results, measure, and let the output appear."""
    if case.problem:
        raise JobError(case.problem)
    output = state.output(case)
    output.parent.mkdir(parents=True, exist_ok=True)
    Outputs(labels=output, overwrite=may_replace).check(case.inputs)
    overlap, suffix = runner.manifest.overlapping is not None, output_suffix(output)
    # Segments that overlap are measured whole; of DICOM the source says what can be written, before the work.
    is_kept = not overlap or suffix in SEGMENT_SUFFIXES
    unfinished = state.work / f"output{suffix if is_kept else '.seg.nrrd'}"
    unfinished.unlink(missing_ok=True)
    finished = Finished((), "", 0.0)

    def hear(event: Event) -> None:
        nonlocal finished
        if isinstance(event, Warned):
            warnings.append(event.message)
        elif isinstance(event, Finished):
            finished = event
        runner.on_event(event)

    job = Job(
        inputs=case.inputs,
        model=runner.manifest.model_id,
        output=str(unfinished),
        options=runner.options,
        model_folder=str(runner.bundle.folder),
    )
    runner.run(job, hear, runner.cancelled)
    # measured in the file as it was written, which cannot say what is unknown
    like = read_image(Path(case.inputs[0])) if suffix.endswith(".dcm") else None
    labelmap = read_layers(unfinished, like) if overlap else read_labels(unfinished, like)
    image = replace(labelmap, spacing_known=finished.spacing_known)
    labels = result_labels(image.shape, image.affine, runner.manifest, runner.options)
    if like is not None:  # DICOM numbers its segments
        labels = tuple(replace(label, value=number) for number, label in enumerate(labels, start=1))
    counts = np.bincount(image.array.ravel(), minlength=max(label.value for label in labels) + 1)
    sizes = {label.name: image.size(counts[label.value]) for label in labels}
    measured = {field: sizes if unit == image.size_unit else {} for field, unit in SIZES.items()}
    if not is_kept:
        if lost := covered(labelmap, labels):
            warnings.append(covered_words(output.name, lost))
        unfinished = state.work / f"output{suffix}"
        write_segmentation(unfinished, labelmap, labels, overwrite=True)
    check_target(output, overwrite=may_replace)  # a file that came meanwhile is kept
    unfinished.replace(output)
    return replace(
        row,
        status="done",
        device=finished.device,
        engine=finished.engine,
        volumes_ml=measured["volumes_ml"],
        areas_cm2=measured["areas_cm2"],
        voxels=measured["voxels"],
    )

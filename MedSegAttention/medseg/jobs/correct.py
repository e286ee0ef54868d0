"""Correct a result by strokes, from Python and the shell: which segment each is of, and which could not be replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.imaging.correction.stroke_box import paint
from medseg.imaging.geometry import resample_to, same_grid
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.segments import StoredSegments, read_stored_segments
from medseg.io.strokes import read_strokes
from medseg.io.write import check_grid, check_writable, write_segmentation
from medseg.jobs.run.results import Outputs, Segmentation
from medseg.spec.errors import JobError
from medseg.spec.labels import LabelSpec
from medseg.spec.stroke import BACKGROUND, Stroke


@dataclass(frozen=True)
class NotReplayed:
    """A stroke that could not be painted on this result, and why."""

    stroke: Stroke
    reason: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Correction:
    """A corrected segmentation.

    Attributes:
        labels: ``(1, I, J, K)``, 0 is background.
        specs: name, colour and codes of each label.
        probabilities: ``(L, I, J, K)``, background first; None where the result came without.
        strokes: all that the labels follow, in order: those it came with, then those that were replayed.
        changed: voxels that each replayed stroke changed.
        not_replayed: strokes whose segment is not there, or which lie outside.
        inputs: files it was made from, which are never replaced.
    """

    labels: Image
    specs: tuple[LabelSpec, ...]
    probabilities: Image | None
    strokes: tuple[Stroke, ...]
    changed: tuple[int, ...]
    not_replayed: tuple[NotReplayed, ...]
    inputs: tuple[Path, ...] = ()

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the labels; the ending says the format, and ``.seg.nrrd`` keeps names, colours, codes and strokes.

        Raises:
            JobError: when the file cannot be written there or so, or is an input.
            OutputExists: when there is one and overwriting was not allowed.
        """
        target = Path(path)
        check_output(target, self.inputs, overwrite=overwrite)
        check_grid(target, self.labels.shape, self.labels.affine)
        write_segmentation(target, self.labels, self.specs, strokes=self.strokes, overwrite=overwrite)


def check_output(path: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse an output that cannot be written, or that is an input, before any work.

    Raises:
        JobError: names the rule and the next step.
        OutputExists: when there is a file and overwriting was not allowed.
    """
    Outputs(labels=path, overwrite=overwrite).check(inputs)
    check_writable(path, overwrite=overwrite)


def correct(
    segmentation: Segmentation | Image | Path | str,
    strokes: Sequence[Stroke] | Path | str,
    *,
    image: Image | Path | str | None = None,
    probabilities: Image | Path | str | None = None,
    locked: NDArray[np.bool_] | None = None,
) -> Correction:
    """Let a segmentation follow strokes, in their order; what was given stays as it is.

    Args:
        segmentation: of ``medseg.segment``, labels ``(1, I, J, K)``, or a file of them.
        strokes: where it is wrong, or a file: JSON, or a .seg.nrrd that keeps strokes. Each is of the segment of its
            name, else of the only one with its code.
        image: what was segmented; None: that of the result, or none: then places and shapes alone decide.
        probabilities: ``(L, I, J, K)``, background first, on the grid of the labels; None: those of the result, or
            none: then they are made from distances to the segments.
        locked: ``(I, J, K)``, voxels that never change.

    Returns:
        The corrected segmentation, and the strokes that could not be replayed.

    Raises:
        medseg.MedSegError: when a file cannot be read, segments overlap, or arrays lie on different grids.
    """
    found = _segments(segmentation)
    painted = read_strokes(Path(strokes)) if isinstance(strokes, Path | str) else tuple(strokes)
    if isinstance(segmentation, Segmentation):
        image = segmentation.image if image is None else image
        probabilities = segmentation.probabilities if probabilities is None else probabilities
    beside = _read(image)
    held = _probabilities(_read(probabilities), found)
    top = max((spec.value for spec in found.specs), default=0)
    kind = np.promote_types(found.labels.array.dtype, np.min_scalar_type(top))
    if locked is not None and locked.shape != found.labels.shape:
        msg = f"locked voxels lie on the grid of the labels {found.labels.shape}, got {locked.shape}; make them anew"
        raise JobError(msg)
    grid = Grid(
        labels=found.labels.array[0].astype(kind),
        affine=found.labels.affine,
        image=None if beside is None else _on_grid(beside, found.labels),
        probabilities=None if held is None else held.array.copy(),
        locked=locked,
    )
    corrector = Corrector(grid)
    for stroke in found.strokes:
        value = segment_of(stroke, found.specs)
        if value is not None:
            corrector.keep(stroke, value)
    replayed, changed, missed = _replay(corrector, painted, found.specs)
    files = (segmentation, strokes, image, probabilities)
    return Correction(
        labels=replace(found.labels, array=grid.labels[None]),
        specs=found.specs,
        probabilities=None if held is None or grid.probabilities is None else replace(held, array=grid.probabilities),
        strokes=(*found.strokes, *replayed),
        changed=changed,
        not_replayed=missed,
        inputs=tuple(Path(each) for each in files if isinstance(each, Path | str)),
    )


def _replay(
    corrector: Corrector, strokes: Sequence[Stroke], specs: Sequence[LabelSpec]
) -> tuple[tuple[Stroke, ...], tuple[int, ...], tuple[NotReplayed, ...]]:
    """The strokes that were painted, how many voxels each changed, and the strokes that were not."""
    changed: list[int] = []
    missed: list[NotReplayed] = []
    names = ", ".join(spec.name for spec in specs)
    for stroke in strokes:
        value = segment_of(stroke, specs)
        if value is None:
            missed.append(NotReplayed(stroke, f"there is no segment {stroke.label!r} here; there are: {names}"))
        elif not len(paint(stroke.points, stroke.radius_mm, corrector.grid.shape, corrector.grid.affine)):
            missed.append(NotReplayed(stroke, "it lies outside the image"))
        else:
            change = corrector.apply(stroke, value)
            changed.append(int((change.labels != corrector.grid.labels[change.box]).sum()))
    return corrector.strokes, tuple(changed), tuple(missed)


def segment_of(stroke: Stroke, specs: Sequence[LabelSpec]) -> int | None:
    """The value of a stroke's segment: by name, else the only one with its code; None where there is none."""
    if stroke.label == BACKGROUND:
        return 0
    named = [spec.value for spec in specs if spec.name == stroke.label]
    if not named and stroke.code is not None:
        code = (stroke.code.scheme, stroke.code.value)
        named = [spec.value for spec in specs if (spec.type.scheme, spec.type.value) == code]
    return named[0] if len(named) == 1 else None


def _segments(segmentation: Segmentation | Image | Path | str) -> StoredSegments:
    if isinstance(segmentation, Segmentation):
        found = StoredSegments(segmentation.labels, segmentation.specs)
    elif isinstance(segmentation, Image):
        found = StoredSegments.of(segmentation)
    else:
        found = read_stored_segments(Path(segmentation))
    if found.labels.channel_count != 1:
        msg = (
            f"strokes correct one label a voxel, got {found.labels.channel_count} layers that overlap; save them apart"
        )
        raise JobError(msg)
    return found


def _read(image: Image | Path | str | None) -> Image | None:
    return read_image(Path(image)).image if isinstance(image, Path | str) else image


def _probabilities(given: Image | None, found: StoredSegments) -> Image | None:
    """Probabilities that fit the labels.

    Raises:
        JobError: when they lie on another grid, or have not one channel for each label.
    """
    if given is None:
        return None
    wanted = max((spec.value for spec in found.specs), default=0) + 1
    if not same_grid(given, found.labels) or given.channel_count != wanted:
        msg = (
            f"probabilities lie on the grid of the labels {found.labels.shape} with one channel for the background and "
            f"each label ({wanted}), got {given.channel_count} channels of {given.shape}; leave them out or write them "
            "with 'medseg segment --probabilities'"
        )
        raise JobError(msg)
    return given


def _on_grid(image: Image, labels: Image) -> NDArray[np.generic]:
    """The first channel of an image where the labels lie."""
    if same_grid(image, labels):
        return np.asarray(image.array[0])
    first = replace(image, array=image.array[:1])
    return np.asarray(resample_to(first, labels.shape, labels.affine, order="linear").array[0])

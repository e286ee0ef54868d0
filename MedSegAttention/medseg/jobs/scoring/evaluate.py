"""How well predictions match references: Dice, surface Dice, 95 % Hausdorff distance and size, by case and label."""

import csv
import io
import math
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray

from medseg.imaging.geometry import same_grid
from medseg.imaging.image import Image
from medseg.imaging.measure import dice
from medseg.imaging.renumber import renumbered
from medseg.io.atomic import replacing
from medseg.io.dicom_results.aligned import on_one_grid
from medseg.io.formats import image_files_by_name, image_name
from medseg.io.read import read_named_labels
from medseg.jobs.scoring.numbering import Numbering, compare
from medseg.spec.errors import ImageError, JobError
from medseg.spec.labels import LabelSpec

SURFACE_TOLERANCE_MM = 1.0
_BORDER = 2  # voxels of background around what is compared


@dataclass(frozen=True)
class LabelScores:
    """How well one label of one case is found.

    Where both are empty Dice and surface Dice are 1 and there is no distance (nan); where only one is, they are 0
    and there is no distance. ``volume_difference_percent`` is relative to the reference, nan where that is empty; in a
    single slice it is that of areas, and surfaces are outlines. What needs a length is nan where no file says any.
    """

    label: int
    dice: float
    surface_dice: float  # share of both surfaces that lies within 1 mm of the other
    hd95_mm: float
    volume_ml: float  # of the prediction; nan in a single slice
    volume_difference_ml: float  # prediction minus reference
    volume_difference_percent: float
    area_cm2: float = math.nan  # of the prediction; nan in a volume
    area_difference_cm2: float = math.nan  # prediction minus reference


@dataclass(frozen=True)
class CaseScores:
    """One row: a label of a case."""

    case: str
    scores: LabelScores


@dataclass(frozen=True)
class Evaluation:
    """Scores of all cases.

    Attributes:
        rows: every label of every case.
        summary: by label, the mean of each score over the cases; cases where a score is nan are left out of it.
        unmatched: files that have no partner.
        names: of labels, where files or a model name them.
        warnings: sentences about segments that were matched.
    """

    rows: tuple[CaseScores, ...]
    summary: tuple[LabelScores, ...]
    unmatched: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def mean_dice(self) -> float:
        """Mean over labels of the mean over cases."""
        return float(np.mean([scores.dice for scores in self.summary]))

    def write_csv(self, path: Path, *, overwrite: bool = False) -> None:
        """Write one line a row, then the means as case "mean"; empty where a score is nan.

        Raises:
            JobError: when the file cannot be written there.
            OutputExists: when there is one and overwriting was not allowed.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", *(each.name for each in fields(LabelScores)), "segment"])
        for case, scores in [*((row.case, row.scores) for row in self.rows), *(("mean", s) for s in self.summary)]:
            numbers = ("" if math.isnan(value) else round(value, 6) for value in astuple(scores))
            writer.writerow([case, *numbers, self.names.get(scores.label, "")])
        with replacing(path, overwrite=overwrite) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


def evaluate(
    predictions: Path, references: Path, labels: Sequence[int] | None = None, known: Sequence[LabelSpec] = ()
) -> Evaluation:
    """Score a prediction file against a reference file, or all files of two folders, matched by name without ending.

    Segments of files that name them (.seg.nrrd) are matched by name or code, whatever numbers they have.

    Args:
        predictions: file or folder.
        references: file or folder, the same kind.
        labels: values to score; None: every value found in any reference or prediction, background left out.
        known: segments whose numbers are used; else those of the first reference that names its own.

    Raises:
        ImageError: when a file cannot be read or a pair does not lie on one grid.
        JobError: when no prediction has a reference, or the names of a pair have nothing in common.
    """
    pairs, unmatched = match_files(predictions, references)
    numbering = Numbering(list(known))
    found_values = _learn(numbering, pairs.values())
    values = labels if labels is not None else _to_score(found_values, numbering)
    rows: list[CaseScores] = []
    said: dict[str, None] = {}
    for case, (prediction, reference) in pairs.items():
        found, truth = read_named_labels(prediction), read_named_labels(reference)
        images = on_one_grid(found.image, truth.image, prediction, reference)
        found, truth = replace(found, image=images[0]), replace(truth, image=images[1])
        check_same_grid(found.image, truth.image, str(prediction), str(reference))
        said |= dict.fromkeys(compare((prediction, found), (reference, truth), numbering))
        prediction_numbered, reference_numbered = (
            renumbered(each.image, numbering.table(each.segments)) if each.segments else each.image
            for each in (found, truth)
        )
        scored = evaluate_pair(prediction_numbered, reference_numbered, values)
        rows += [CaseScores(case, scores) for scores in scored]
    return Evaluation(tuple(rows), summarise(row.scores for row in rows), unmatched, numbering.names(), tuple(said))


def _learn(numbering: Numbering, pairs: Collection[tuple[Path, Path]]) -> list[tuple[tuple[LabelSpec, ...], set[int]]]:
    """Segments and values of every file, the references first, which give the numbers."""
    found = []
    for path in [*(reference for _, reference in pairs), *(prediction for prediction, _ in pairs)]:
        reading = read_named_labels(path)
        values = {int(value) for value in np.unique(reading.image.array)} - {0}
        found.append((reading.segments, values))
    for segments, values in sorted(found, key=lambda each: bool(each[0])):  # files without names cannot give way
        numbering.learn(segments, sorted(values))
    return found


def _to_score(found: Iterable[tuple[tuple[LabelSpec, ...], set[int]]], numbering: Numbering) -> tuple[int, ...]:
    """Every value of any file, in the common numbers."""
    every: set[int] = set()
    for segments, values in found:
        table = numbering.table(segments) if segments else {value: value for value in values}
        every |= {table[value] for value in values if value in table}
    if not every:
        msg = "neither predictions nor references hold a label; name the labels to score (--labels 1,2)"
        raise JobError(msg)
    return tuple(sorted(every))


def match_files(predictions: Path, references: Path) -> tuple[dict[str, tuple[Path, Path]], tuple[str, ...]]:
    """Pair predictions with references by name without ending; also name the files left over.

    Raises:
        JobError: when a path does not exist, the two are of different kinds, or nothing matches.
    """
    for path in (predictions, references):
        if not path.exists():
            msg = f"{path}: there is no such file or folder; check the path"
            raise JobError(msg)
    if predictions.is_dir() != references.is_dir():
        msg = f"{predictions} and {references} must both be files or both be folders; give two of a kind"
        raise JobError(msg)
    if predictions.is_file():
        return {image_name(predictions): (predictions, references)}, ()
    found, truth = image_files_by_name(predictions), image_files_by_name(references)
    names = sorted(found.keys() & truth.keys())
    if not names:
        msg = f"no file of {predictions} has the name of one in {references}; predictions are matched by name"
        raise JobError(msg)
    alone = [
        *(found[n] for n in sorted(found.keys() - truth.keys())),
        *(truth[n] for n in sorted(truth.keys() - found.keys())),
    ]
    return {name: (found[name], truth[name]) for name in names}, tuple(str(path) for path in alone)


def check_same_grid(found: Image, truth: Image, found_name: str, truth_name: str) -> None:
    """Refuse to compare labels that do not lie on one grid.

    Raises:
        ImageError: names both files and what differs.
    """
    if found.shape != truth.shape:
        msg = (
            f"{found_name} has {found.shape} voxels and {truth_name} {truth.shape}; resample one onto the other's grid"
        )
        raise ImageError(msg)
    if not same_grid(found, truth):
        first, second = (np.round(image.affine[:3], 4).tolist() for image in (found, truth))
        msg = (
            f"{found_name} and {truth_name} lie in different places, affines {first} and {second}; "
            "resample one onto the other's grid"
        )
        raise ImageError(msg)


def evaluate_pair(prediction: Image, reference: Image, values: Sequence[int]) -> tuple[LabelScores, ...]:
    """Score one case, label by label.

    Args:
        prediction: integers ``(1, I, J, K)``.
        reference: integers ``(1, I, J, K)`` on the same grid; lengths count where both know their spacing.
        values: labels to score, in the order of the result.

    Raises:
        ValueError: when the shapes differ.
    """
    if prediction.shape != reference.shape:
        msg = f"prediction and reference lie on one grid, got {prediction.shape} and {reference.shape}"
        raise ValueError(msg)
    grid = replace(reference, spacing_known=reference.spacing_known and prediction.spacing_known)
    return tuple(_score(prediction.array[0] == value, reference.array[0] == value, grid, value) for value in values)


def summarise(scores: Iterable[LabelScores]) -> tuple[LabelScores, ...]:
    """Mean of each score by label, nan values left out; nan where no case has the score."""
    by_label: dict[int, list[LabelScores]] = {}
    for row in scores:
        by_label.setdefault(row.label, []).append(row)
    return tuple(LabelScores(label, *_means(rows)) for label, rows in sorted(by_label.items()))


def _score(found: NDArray[np.bool_], truth: NDArray[np.bool_], grid: Image, value: int) -> LabelScores:
    voxels, true_voxels = int(found.sum()), int(truth.sum())
    sizes = dict.fromkeys(("ml", "cm2", "voxels"), (math.nan, math.nan))
    sizes[grid.size_unit] = grid.size(voxels), grid.size(voxels - true_voxels)
    percent = 100 * (voxels - true_voxels) / true_voxels if true_voxels else math.nan
    if not voxels or not true_voxels:
        overlap, surface, hd95 = (float(voxels == true_voxels),) * 2 + (math.nan,)
    else:
        overlap = dice(int((found & truth).sum()), voxels, true_voxels)
        surface, hd95 = _surfaces(found, truth, grid) if grid.spacing_known else (math.nan, math.nan)
    return LabelScores(value, overlap, surface, hd95, *sizes["ml"], percent, *sizes["cm2"])


def _surfaces(found: NDArray[np.bool_], truth: NDArray[np.bool_], grid: Image) -> tuple[float, float]:
    """Surface Dice and HD95 (mm) of two masks that are not empty, by MONAI; of a slice those of the outlines."""
    masks, spacing = _cropped(found, truth), list(grid.spacing)
    if grid.flat_axis is not None:  # as a volume every voxel of it would lie on the surface
        masks = tuple(np.take(mask, _BORDER, axis=grid.flat_axis) for mask in masks)
        del spacing[grid.flat_axis]
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in masks]
    with warnings.catch_warnings():
        # MONAI 1.6 warns about an argument that it passes to itself
        warnings.simplefilter("ignore", FutureWarning)
        surface = compute_surface_dice(
            *pair, class_thresholds=[SURFACE_TOLERANCE_MM], include_background=True, spacing=spacing
        )
        distance = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
    return float(surface), float(distance)


def _cropped(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Keep the box that holds both masks, with a border of background that gives every part a surface."""
    either = found | truth
    box = []
    for axis in range(3):
        (along,) = np.nonzero(either.any(axis=tuple(n for n in range(3) if n != axis)))
        box.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(np.pad(mask[tuple(box)], _BORDER) for mask in (found, truth))


def _means(rows: Sequence[LabelScores]) -> list[float]:
    columns = np.array([astuple(row)[1:] for row in rows], dtype=np.float64)
    counts = np.isfinite(columns).sum(axis=0)
    sums = np.where(np.isfinite(columns), columns, 0.0).sum(axis=0)
    return [float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True)]

"""Score a model on labelled cases and write what was found into its model card."""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import torch

from medseg.bundles.catalogue import Bundle
from medseg.bundles.update import update_bundle
from medseg.imaging.grids import asked_region
from medseg.imaging.image import Image
from medseg.imaging.renumber import renumbered
from medseg.inference.device import choose_device, device_title
from medseg.inference.run_plan import needs_locating
from medseg.io.atomic import replacing
from medseg.io.dataset import CaseFiles, read_whole_case
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.loaded_networks import LoadedNetworks
from medseg.jobs.run.segment import segment_case
from medseg.jobs.scoring.evaluate import CaseScores, Evaluation, evaluate_pair, summarise
from medseg.jobs.scoring.numbering import label_table
from medseg.jobs.scoring.score_tables import area_bias_table, bias_table, score_table, worst_table
from medseg.jobs.scoring.worst_cases import WorstCase, draw_worst, keep_worst
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.manifest import LabelSpec
from medseg.spec.measured import DatasetScores, DeviceKind, Timing
from medseg.spec.sides import counterparts

WORST = 3  # cases whose pictures go into the card


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a model scores on labelled cases.

    Attributes:
        plain: scores of the cases as they are.
        mirrored: scores of the same cases with left and right exchanged, images and labels alike: what the model
            is worth on the other side of the body.
        timing: time and memory on the device it ran on.
        engine: what ran the network.
        warnings: what was said of the runs, each sentence once.
        worst: the cases with the lowest mean Dice as they are, worst first.
    """

    plain: Evaluation
    mirrored: Evaluation
    timing: Timing
    worst: tuple[WorstCase, ...] = ()
    engine: str = ""
    warnings: tuple[str, ...] = ()


def validate(
    bundle: Bundle,
    cases: Sequence[CaseFiles],
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    worst_count: int = WORST,
    on_case: Callable[[int, int], None] = lambda _done, _total: None,
) -> Validation:
    """Segment every case, plain and mirrored, and compare with the expert's labels.

    Args:
        bundle: the model.
        cases: none of them seen in training.
        options: how to run it.
        worst_count: how many of the worst cases are kept for their pictures.
        on_case: called with (cases done, cases in all).

    Raises:
        ImageError: if a case cannot be read or its labels lie on another grid.
        JobError: if the model would be located in a case.
    """
    if bundle.manifest.overlapping is not None:
        msg = (
            f"{bundle.manifest.model_id} has segments that overlap, which one labelmap of an expert cannot hold; "
            "segment the cases and compare the segments one by one"
        )
        raise JobError(msg)
    composition = bundle.manifest.composition
    count = 1 if composition is None else len(composition.stages)  # all are kept, since every case needs them again
    engines = KeptEngines(limit=max(4, count))
    networks = LoadedNetworks(limit=count, dropped=engines.forget)
    rows: tuple[list[CaseScores], list[CaseScores]] = ([], [])
    seconds, paces = [], []
    worst: tuple[WorstCase, ...] = ()
    engine, warnings = "", dict[str, None]()
    table, said = label_table([segment for files in cases[:1] for segment in files.segments], bundle.manifest.labels)
    warnings |= dict.fromkeys(said)
    values = [label.value for label in bundle.manifest.labels if table is None or label.value in table.values()]
    for done, files in enumerate(cases, start=1):
        reading = read_whole_case(files)
        image, labels = reading.image, reading.labels
        warnings |= dict.fromkeys(f"{files.name}: {warning}" for warning in reading.warnings)
        unseen = None if files.ignore is None else Image(labels.array == files.ignore, labels.affine)
        if table is not None:
            labels = renumbered(labels, table)
        if needs_locating(image.shape, image.affine, bundle.manifest, options):
            msg = (
                f"{files.name} shows more than a crop, so {bundle.manifest.model_id} would be located in it and name "
                "other segments than the data set does; give crops, or a region"
            )
            raise JobError(msg)
        for into in rows:
            picture, truth, chosen, left_out = image, labels, options, unseen
            if into is rows[1]:
                picture, truth, chosen = (
                    exchange_sides(image),
                    _exchange_names(exchange_sides(labels), bundle.manifest.labels),
                    _exchange_region(options, image),
                )
                left_out = None if unseen is None else exchange_sides(unseen)
            begun = time.perf_counter()
            found = segment_case([picture], bundle, chosen, load=networks.load, engines=engines, keep_stages=True)
            seconds.append(time.perf_counter() - begun)
            if found.window_count:  # a volume of nothing but air needs none
                paces.append(found.windows_seconds / found.window_count)
            engine = found.engine
            warnings |= dict.fromkeys(found.warnings)
            answer = found.labels
            if left_out is not None:  # unlabelled voxels are left out on both sides
                seen = ~left_out.array
                answer, truth = (dataclasses.replace(each, array=each.array * seen) for each in (answer, truth))
            scored = [CaseScores(files.name, scores) for scores in evaluate_pair(answer, truth, values)]
            into.extend(scored)
            if into is rows[0]:
                dice = float(np.mean([row.scores.dice for row in scored]))
                worst = keep_worst(worst, WorstCase(files.name, dice, picture, truth, answer), worst_count)
        on_case(done, len(cases))
    plain, mirrored = (Evaluation(tuple(part), summarise(row.scores for row in part)) for part in rows)
    return Validation(
        plain, mirrored, _timing(choose_device(options.device), seconds, paces), worst, engine, tuple(warnings)
    )


def exchange_sides(image: Image) -> Image:
    """Mirror the anatomy at a sagittal plane: what was left is right.

    The array is reversed along the axis closest to left-right while the affine is kept; reversing both would only
    store the same anatomy in another order.
    """
    return dataclasses.replace(image, array=np.flip(image.array, axis=_left_right_axis(image) + 1))


def _exchange_names(labels: Image, specs: Sequence[LabelSpec]) -> Image:
    """Give labels that have a side the value of their counterpart: in a mirrored patient left is right.

    A label without a counterpart keeps its value.
    """
    table = np.arange(int(labels.array.max()) + 1, dtype=labels.array.dtype)
    for value, other in counterparts(specs).items():
        if value < len(table):
            table[value] = other
    return Image(table[labels.array], labels.affine)


def _exchange_region(options: Options, image: Image) -> Options:
    """The options for the mirrored image: the region is that of the same anatomy, in voxels."""
    crop = asked_region(image, options.roi_ras_mm, options.roi_voxels)
    if crop is None:
        return options
    ranges = [(start, start + size) for start, size in zip(crop.start, crop.shape, strict=True)]
    axis = _left_right_axis(image)
    start, stop = ranges[axis]
    ranges[axis] = image.shape[axis] - stop, image.shape[axis] - start
    (i, i_stop), (j, j_stop), (k, k_stop) = ranges
    return dataclasses.replace(options, roi_ras_mm=None, roi_voxels=(i, i_stop, j, j_stop, k, k_stop))


def _left_right_axis(image: Image) -> int:
    return int(np.argmax(np.abs(image.affine[0, :3]) / np.linalg.norm(image.affine[:3, :3], axis=0)))


def write_scores(bundle: Bundle, validation: Validation, *, dataset: str, window_mb: int | None = None) -> Bundle:
    """Put scores, pictures of the worst cases, time and memory into the bundle's metadata and card; the weights stay.

    Args:
        bundle: the model that was validated.
        validation: its scores.
        dataset: what the cases were, in words, e.g. "MSD Hippocampus, fold 0, 44 cases".
        window_mb: what ``window_memory_mb`` measured on the same device; None: nothing.
    """
    names = {label.value: label.name for label in bundle.manifest.labels}
    scores = DatasetScores(
        dataset=dataset,
        plain=score_table(validation.plain, names),
        mirrored=score_table(validation.mirrored, names),
        volume_bias=bias_table(validation.plain, names),
        area_bias=area_bias_table(validation.plain, names),
        worst_cases=worst_table(validation.plain, _write_pictures(bundle, validation.worst)),
    )
    return _rewrite(bundle, scores, dataclasses.replace(validation.timing, window_memory_mib=window_mb or None))


def write_evaluation(bundle: Bundle, evaluation: Evaluation, *, dataset: str) -> Bundle:
    """Put scores of predictions made elsewhere into the bundle's metadata and model card.

    Args:
        bundle: the model that made them.
        evaluation: of its predictions.
        dataset: what the cases were, in words.

    Raises:
        JobError: when labels were scored that the model does not have.
    """
    names = {label.value: label.name for label in bundle.manifest.labels}
    if unknown := [scores.label for scores in evaluation.summary if scores.label not in names]:
        msg = f"{bundle.manifest.model_id} has no label {unknown[0]}; score its own labels (--labels)"
        raise JobError(msg)
    scores = DatasetScores(
        dataset=dataset,
        plain=score_table(evaluation, names),
        volume_bias=bias_table(evaluation, names),
        area_bias=area_bias_table(evaluation, names),
    )
    return _rewrite(bundle, scores)


def peak_memory_mb(device: torch.device) -> int | None:
    """Most memory so far, MiB: of a CUDA card, else of this process; None where the system does not count it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) // 2**20
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most // (2**20 if sys.platform == "darwin" else 2**10))


def _timing(device: torch.device, seconds: Sequence[float], paces: Sequence[float]) -> Timing:
    """Medians in three digits; a data set of nothing but air has timed no window."""
    per_case, per_window = (float(f"{statistics.median(times):.3g}") if times else None for times in (seconds, paces))
    kind = next(kind for kind in get_args(DeviceKind) if kind == device.type)
    return Timing(
        device=device_title(device),
        device_kind=kind,
        seconds_per_case=per_case,
        seconds_per_window=per_window,
        peak_memory_mib=peak_memory_mb(device),
    )


def _rewrite(bundle: Bundle, scores: DatasetScores, timing: Timing | None = None) -> Bundle:
    """Put scores and times in the place of those of the same data set and device; what was not measured stays."""
    manifest = bundle.manifest
    others = tuple(each for each in manifest.scores if each.dataset != scores.dataset)
    timings = manifest.timings
    if timing is not None:
        known = {name: figure for name, figure in dataclasses.asdict(timing).items() if figure is not None}
        place = (timing.device, timing.device_kind)
        same = [each for each in timings if (each.device, each.device_kind) == place]
        timings = (*(each for each in timings if each not in same), dataclasses.replace((*same, timing)[0], **known))
    return update_bundle(bundle, dataclasses.replace(manifest, scores=(*others, scores), timings=timings))


def _write_pictures(bundle: Bundle, worst: Sequence[WorstCase]) -> dict[str, str]:
    """Draw the worst cases into the bundle; case -> path seen from the card."""
    paths = {}
    for number, case in enumerate(worst, start=1):
        path = bundle.folder / "docs" / "worst" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, overwrite=True) as temporary:
            draw_worst(case, bundle.manifest.labels).save(temporary, format="PNG")
        paths[case.name] = f"worst/{path.name}"
    return paths

"""Score a model on labelled cases and write what was found into its model card."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.bundles.write import update_bundle
from medseg.imaging.image import Image
from medseg.inference.forecast import SECONDS_KEY
from medseg.io.dataset import CaseFiles, read_case
from medseg.jobs.evaluate import CaseScores, Evaluation, LabelScores, evaluate_pair, summarise
from medseg.jobs.segment import segment_images
from medseg.spec.job import Options


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a model scores on labelled cases.

    Attributes:
        plain: scores of the cases as they are.
        mirrored: scores of the same cases with left and right exchanged, images and labels alike: what the model
            is worth on the other side of the body.
        seconds: median wall time of a case, from image in memory to labels on its grid.
        device: what it ran on.
        window_seconds: median time of one forward pass of one window.
    """

    plain: Evaluation
    mirrored: Evaluation
    seconds: float
    device: str
    window_seconds: float


def validate(
    bundle: Bundle,
    cases: Sequence[CaseFiles],
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    on_case: Callable[[int, int], None] = lambda _done, _total: None,
) -> Validation:
    """Segment every case, plain and mirrored, and compare with the expert's labels.

    Args:
        bundle: the model.
        cases: none of them seen in training.
        options: how to run it.
        on_case: told (cases done, cases in all).

    Raises:
        ImageError: if a case cannot be read or its labels lie on another grid.
    """
    network = load_network(bundle)
    values = [label.value for label in bundle.manifest.labels]
    rows: tuple[list[CaseScores], list[CaseScores]] = ([], [])
    seconds, paces, device = [], [], ""
    for done, files in enumerate(cases, start=1):
        image, labels = read_case(files)
        for into, picture, truth in (
            (rows[0], image, labels),
            (rows[1], exchange_sides(image), exchange_sides(labels)),
        ):
            begun = time.perf_counter()
            found = segment_images([picture], bundle, options, network=network)
            seconds.append(time.perf_counter() - begun)
            paces.append(found.windows_seconds / found.window_count)
            device = found.device
            into.extend(CaseScores(files.name, scores) for scores in evaluate_pair(found.labels, truth, values))
        on_case(done, len(cases))
    plain, mirrored = (Evaluation(tuple(part), summarise(row.scores for row in part)) for part in rows)
    return Validation(plain, mirrored, statistics.median(seconds), device, statistics.median(paces))


def exchange_sides(image: Image) -> Image:
    """Mirror the anatomy at a sagittal plane: what was left is right.

    The array is reversed along the axis closest to left-right while the affine is kept; reversing both would only
    store the same anatomy in another order.
    """
    axis = int(np.argmax(np.abs(image.affine[0, :3]) / np.linalg.norm(image.affine[:3, :3], axis=0)))
    return Image(np.flip(image.array, axis=axis + 1), image.affine)


def write_scores(bundle: Bundle, validation: Validation, *, dataset: str) -> Bundle:
    """Put the scores and the time into the bundle's metadata and model card; the weights stay.

    Args:
        bundle: the model that was validated.
        validation: its scores.
        dataset: what the cases were, in words, e.g. "MSD Hippocampus, fold 0, 44 cases".
    """
    names = {label.value: label.name for label in bundle.manifest.labels}
    scores = {
        dataset: {
            "as they are": _table(validation.plain, names),
            "left and right exchanged": _table(validation.mirrored, names),
        }
    }
    timings = {
        f"seconds a case, median ({validation.device})": round(validation.seconds, 2),
        f"{SECONDS_KEY} ({validation.device})": float(f"{validation.window_seconds:.3g}"),
    }
    manifest = dataclasses.replace(
        bundle.manifest,
        scores={**bundle.manifest.scores, **scores},
        timings={**bundle.manifest.timings, **timings},
    )
    return update_bundle(bundle, manifest)


def _table(evaluation: Evaluation, names: dict[int, str]) -> dict[str, Any]:
    table: dict[str, Any] = {names[scores.label]: _figures(scores) for scores in evaluation.summary}
    table["mean"] = {
        "Dice": round(evaluation.mean_dice(), 4),
        "HD95 mm": _figure(float(np.mean([scores.hd95_mm for scores in evaluation.summary])), 3),
    }
    return table


def _figures(scores: LabelScores) -> dict[str, float | None]:
    return {
        "Dice": _figure(scores.dice, 4),
        "surface Dice at 1 mm": _figure(scores.surface_dice, 4),
        "HD95 mm": _figure(scores.hd95_mm, 3),
        "volume difference %": _figure(scores.volume_difference_percent, 2),
    }


def _figure(value: float, digits: int) -> float | None:
    """Round for a table; None, which JSON can say, where there is no such score."""
    return round(value, digits) if math.isfinite(value) else None

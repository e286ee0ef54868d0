"""Deep structures of whole brains against an expert: Dice, volumes, an atlas as baseline, people scanned twice.

python Testing/Benchmarks/deep_brain.py FOLDER [--cases NAME ...] [--atlas FOLDER] [--twice A=B ...] [--table FILE.md]
    [--card "what the cases are"]

FOLDER holds ``NAME_t1_brain.nii.gz`` and ``NAME_labels.nii.gz`` with the numbers of Neuromorphometrics. ``--atlas``
is the folder of Colin 27 with AAL's labels (``t1.nii.gz``, ``seg_aal116.nii.gz``): its labels, brought to the patient
by the registration that also locates the model, are what a model must beat. ``--card`` writes the scores into the
model's card.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.bundles.catalogue import Bundle, find_bundle
from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Image
from medseg.imaging.measure import dice
from medseg.imaging.registration import register
from medseg.io.read import read_image, read_labels
from medseg.jobs.run.loaded_networks import LoadedNetworks
from medseg.jobs.run.located import read_template
from medseg.jobs.run.segment import segment_case
from medseg.jobs.scoring.evaluate import CaseScores, Evaluation, evaluate_pair, summarise
from medseg.jobs.scoring.score_tables import mean_interval
from medseg.jobs.scoring.validate import write_evaluation
from medseg.spec.job import Options

MODEL = "brain-deep-any-contrast"
EXPERT = {  # right, left; one number: it lies in the middle
    "hippocampus": ((47,), (48,)),
    "amygdala": ((31,), (32,)),
    "thalamus": ((59,), (60,)),
    "caudate": ((36,), (37,)),
    "putamen": ((57,), (58,)),
    "pallidum": ((55,), (56,)),
    "accumbens": ((23,), (30,)),
    "lateral ventricle": ((51, 49), (52, 50)),
    "ventral DC": ((61,), (62,)),
    "brain stem": ((35,),),
    "third ventricle": ((4,),),
    "fourth ventricle": ((11,),),
}
AAL = {
    "hippocampus": 38,
    "amygdala": 42,
    "caudate": 72,
    "putamen": 74,
    "pallidum": 76,
    "thalamus": 78,
}  # right; left - 1
DEEP = ("hippocampus", "amygdala", "thalamus", "caudate", "putamen", "pallidum", "accumbens", "brain stem")


@dataclass(frozen=True)
class Found:
    """One structure of one scan, of one side."""

    structure: str
    side: str
    dice: float
    ml: float
    expert_ml: float
    atlas_dice: float = np.nan


def expert_values() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Structure, side and the expert's numbers."""
    for structure, sides in EXPERT.items():
        for side, values in zip(("right", "left") if len(sides) == 2 else ("",), sides, strict=True):
            yield structure, side, values


def label_of(structure: str, side: str, bundle: Bundle) -> int:
    """The value of a structure in the model's answer."""
    wanted = f"{side} {structure}".strip()
    return next(label.value for label in bundle.manifest.located_labels if label.name == wanted)


def brought(atlas: Path, image: Image, bundle: Bundle) -> NDArray[np.uint8]:
    """AAL's labels on the patient's grid."""
    rule = bundle.manifest.locate
    if rule is None:
        msg = f"{bundle.manifest.model_id} is not located, so that nothing was registered"
        raise ValueError(msg)
    found = register(image, read_template(bundle, rule))
    labels = read_labels(atlas / "seg_aal116.nii.gz")
    moved = Image(labels.array, found.to_patient @ labels.affine)
    values: NDArray[np.uint8] = resample_to(moved, image.shape, image.affine, order="nearest").array[0]
    return values


def score(
    folder: Path, name: str, bundle: Bundle, networks: LoadedNetworks, atlas: Path | None
) -> tuple[list[Found], list[CaseScores], float]:
    """Segment one scan and compare it; also the processor seconds it took."""
    path = folder / f"{name}_t1_brain.nii.gz"
    begun = time.process_time()
    answer = segment_case([path], bundle, Options(device="cpu"), load=networks.load).labels
    seconds = time.process_time() - begun
    labels = read_labels(folder / f"{name}_labels.nii.gz")
    moved = None if atlas is None else brought(atlas, read_image(path).image, bundle)
    truth = np.zeros_like(answer.array)
    rows = []
    for structure, side, values in expert_values():
        value = label_of(structure, side, bundle)
        expert = np.isin(labels.array[0], values)
        truth[0][expert] = value
        own = answer.array[0] == value
        baseline = np.nan
        if moved is not None and structure in AAL:
            theirs = moved == AAL[structure] - (side == "left")
            baseline = dice(int((theirs & expert).sum()), int(theirs.sum()), int(expert.sum()))
        overlap = dice(int((own & expert).sum()), int(own.sum()), int(expert.sum()))
        volumes = [labels.volume_ml(int(each.sum())) for each in (own, expert)]
        rows.append(Found(structure, side, overlap, *volumes, baseline))
    every = [label.value for label in bundle.manifest.located_labels]
    scores = evaluate_pair(answer, Image(truth, answer.affine), every)
    return rows, [CaseScores(name, each) for each in scores], seconds


def interval(values: list[float], digits: int) -> str:
    """Mean and its 95 % interval over cases."""
    found = mean_interval(values, digits=digits)
    return "" if found.mean is None else f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def summary(scans: dict[str, list[Found]], twice: dict[str, str]) -> list[str]:
    """The table: a line for each structure, both sides of a person taken together."""
    lines = [
        "| structure | Dice (95 %) | AAL propagated | volume difference, ml (95 %) | limits of agreement, ml | "
        "scanned twice: difference, % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for structure in EXPERT:
        own = {name: [row for row in rows if row.structure == structure] for name, rows in scans.items()}
        dices = [float(np.mean([row.dice for row in rows])) for rows in own.values()]
        atlas = [float(np.mean([row.atlas_dice for row in rows])) for rows in own.values()]
        differences = [float(np.mean([row.ml - row.expert_ml for row in rows])) for rows in own.values()]
        scatter = 1.96 * np.std(differences, ddof=1) if len(differences) > 1 else np.nan
        limits = f"{np.mean(differences) - scatter:.2f} to {np.mean(differences) + scatter:.2f}"
        changes = [
            100 * abs(first.ml - second.ml) / ((first.ml + second.ml) / 2)
            for one, other in twice.items()
            if one in own and other in own
            for first, second in zip(own[one], own[other], strict=True)
        ]
        again = f"{np.mean(changes):.1f} ({max(changes):.1f} at most)" if changes else ""
        cells = [structure, interval(dices, 3), interval(atlas, 3), interval(differences, 2), limits, again]
        lines.append(f"| {' | '.join(cells)} |")
    for title, kept in (("mean of deep structures", DEEP), ("mean of what AAL has", tuple(AAL))):
        means = [by_case(rows, kept, "dice") for rows in scans.values()]
        atlas = [by_case(rows, kept, "atlas_dice") for rows in scans.values()]
        lines.append(f"| {title} | {interval(means, 3)} | {interval(atlas, 3)} |  |  |  |")
    return lines


def by_case(rows: list[Found], kept: tuple[str, ...], field: str) -> float:
    """Mean over structures, of each the mean over its sides."""
    means = [np.mean([getattr(row, field) for row in rows if row.structure == name]) for name in kept]
    return float(np.mean(means))


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--cases", nargs="*")
    parser.add_argument("--atlas", type=Path)
    parser.add_argument("--twice", nargs="*", default=[], metavar="A=B")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--card")
    given = parser.parse_args()
    bundle, networks = find_bundle(given.model), LoadedNetworks()
    names = given.cases
    if names is None:
        names = sorted(path.name.removesuffix("_labels.nii.gz") for path in given.folder.glob("*_labels.nii.gz"))
    scans: dict[str, list[Found]] = {}
    every: list[CaseScores] = []
    times = []
    for name in names:
        scans[name], scores, seconds = score(given.folder, name, bundle, networks, given.atlas)
        every += scores
        times.append(seconds)
        deep = by_case(scans[name], DEEP, "dice")
        worst = min(scans[name], key=lambda row: row.dice)
        print(f"{name}: {deep:.3f}, worst {worst.side} {worst.structure} {worst.dice:.3f}, {seconds:.1f} s", flush=True)
    lines = summary(scans, dict(pair.split("=") for pair in given.twice))
    lines += ["", f"{len(names)} scans; processor seconds a scan: {np.median(times):.1f}, {max(times):.1f} at most."]
    print("\n".join(["", *lines]))
    if given.table:
        given.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if given.card:
        evaluation = Evaluation(tuple(every), summarise(row.scores for row in every))
        write_evaluation(bundle, evaluation, dataset=given.card)


if __name__ == "__main__":
    main()

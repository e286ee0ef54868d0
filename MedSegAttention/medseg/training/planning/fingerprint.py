"""What a data set is like: grids, intensities and label sizes of every case, and what is wrong with those left out.

The idea of a fingerprint before a plan is nnU-Net's: Isensee et al., Nature Methods 18, 203-211, 2021.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from medseg.imaging.image import Image
from medseg.imaging.steps import Reorient
from medseg.io.dataset import CaseFiles, CaseReading, Dataset, read_whole_case
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import IntTriple, Triple

_SAMPLED = 20_000  # foreground voxels of a case and channel that the statistics use


@dataclass(frozen=True, kw_only=True)
class ChannelFacts:
    """Intensities of one channel, over labelled voxels of all cases."""

    lowest: float  # of whole images
    highest: float
    percentile_00_5: float
    percentile_99_5: float
    mean: float  # within those percentiles
    std: float


@dataclass(frozen=True)
class LabelPlace:
    """Where a label lies in an image turned to RAS."""

    centre_mm: Triple  # from the first voxel, to the right, front and top
    spread_mm: float  # standard deviation from left to right


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """Grid and label sizes of one case, turned to RAS."""

    name: str
    shape: IntTriple
    spacing_mm: Triple
    voxels: dict[str, int]  # label value -> how many voxels
    places: dict[str, LabelPlace] = field(default_factory=dict)  # label value -> where


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Facts of all usable cases."""

    cases: tuple[CaseFacts, ...]
    channels: tuple[ChannelFacts, ...]
    label_values: tuple[int, ...]  # found in any case, without background and ignored voxels
    problems: tuple[str, ...] = ()  # one sentence for each case that is left out
    warnings: tuple[str, ...] = ()  # what reading the others noticed, each with the name of its case

    @property
    def median_spacing_mm(self) -> Triple:
        """Median along each axis."""
        i, j, k = np.median([case.spacing_mm for case in self.cases], axis=0).tolist()
        return i, j, k

    @property
    def flat_axis(self) -> int | None:
        """The axis across which every image is one slice, as radiographs are; None: they are volumes."""
        return next((axis for axis in (2, 1, 0) if all(case.shape[axis] == 1 for case in self.cases)), None)

    def median_shape(self, spacing_mm: Triple) -> Triple:
        """Median size in voxels of the given spacing."""
        sizes = [np.array(case.shape) * case.spacing_mm / spacing_mm for case in self.cases]
        i, j, k = np.median(sizes, axis=0).tolist()
        return i, j, k

    def foreground_share(self) -> float:
        """Median share of an image that is labelled."""
        return float(np.median([sum(case.voxels.values()) / np.prod(case.shape) for case in self.cases]))

    def label_shares(self) -> dict[str, float]:
        """Part of all labelled voxels that each label has."""
        totals = {str(v): sum(case.voxels.get(str(v), 0) for case in self.cases) for v in self.label_values}
        return {value: total / max(1, sum(totals.values())) for value, total in totals.items()}


def take_fingerprint(dataset: Dataset) -> Fingerprint:
    """Read every case once.

    A case that cannot be used is left out and named under ``problems``, so that one bad file ends no training.

    Args:
        dataset: the cases.

    Raises:
        JobError: when no case is left; the message holds every problem.
    """
    facts: list[CaseFacts] = []
    samples: list[list[np.ndarray]] = []
    extremes: list[list[tuple[float, float]]] = []
    problems: list[str] = []
    warnings: list[str] = []
    counted = len(dataset.channel_names)
    for files in dataset.cases.values():
        try:
            reading = _usable(files, dataset, counted)
        except ImageError as error:
            problems.append(f"{files.name}: {error}")
        else:
            image, labels = reading.image, reading.labels
            warnings += [f"{files.name}: {warning}" for warning in reading.warnings]
            counted = counted or image.channel_count
            found = (each.tolist() for each in np.unique(labels.array, return_counts=True))
            sizes = {str(v): n for v, n in zip(*found, strict=True) if v not in (0, _ignored(files))}
            facts.append(
                CaseFacts(
                    name=files.name,
                    shape=image.shape,
                    spacing_mm=image.spacing,
                    voxels=sizes,
                    places=_places(labels, sizes),
                )
            )
            foreground = (labels.array[0] > 0) & (labels.array[0] != _ignored(files))
            step = max(1, int(foreground.sum()) // _SAMPLED)  # evenly spread: a data set always gives the same numbers
            samples.append([channel[foreground][::step] for channel in image.array])
            extremes.append([(float(channel.min()), float(channel.max())) for channel in image.array])
    if not facts:
        msg = f"no case of {dataset.layout} can be used: {'; '.join(problems) or 'it has none'}"
        raise JobError(msg)
    values = sorted({int(value) for case in facts for value, count in case.voxels.items() if count})
    if not values:
        msg = f"no case of {dataset.layout} has a labelled voxel; check that these are the labels"
        raise JobError(msg)
    channels = tuple(
        _channel_facts((each[n] for each in samples), [each[n] for each in extremes]) for n in range(counted)
    )
    return Fingerprint(
        cases=tuple(facts),
        channels=channels,
        label_values=tuple(values),
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def _usable(files: CaseFiles, dataset: Dataset, channel_count: int) -> CaseReading:
    """Read a case in RAS.

    Raises:
        ImageError: names the file and everything about it that stands against using it.
    """
    reading = read_whole_case(files)
    image, labels = reading.image, reading.labels
    complaints = []
    if channel_count and image.channel_count != channel_count:
        complaints.append(f"{files.image} has {image.channel_count} channel(s), the data set {channel_count}")
    allowed = {0, *dataset.label_names, _ignored(files)}
    if dataset.label_names and (odd := sorted({int(v) for v in np.unique(labels.array)} - allowed)):
        known = ", ".join(map(str, sorted(dataset.label_names)))
        complaints.append(f"{files.labels} holds label {', '.join(map(str, odd))}, but the data set lists {known}")
    if complaints:
        msg = f"{'; '.join(complaints)}; mend or remove the case"
        raise ImageError(msg)
    turn = Reorient.to_orientation(image, "RAS")
    return CaseReading(turn.apply(image), turn.apply(labels), reading.warnings)


def _channel_facts(samples: Iterable[np.ndarray], extremes: list[tuple[float, float]]) -> ChannelFacts:
    pooled = np.concatenate([sample.astype(np.float64) for sample in samples])
    low, high = np.percentile(pooled, [0.5, 99.5])
    clipped = np.clip(pooled, low, high)
    return ChannelFacts(
        lowest=min(low for low, _ in extremes),
        highest=max(high for _, high in extremes),
        percentile_00_5=float(low),
        percentile_99_5=float(high),
        mean=float(clipped.mean()),
        std=float(clipped.std()),
    )


def _places(labels: Image, sizes: dict[str, int]) -> dict[str, LabelPlace]:
    """Centre and spread of each label, from the sums over its voxels."""
    voxels = np.nonzero(labels.array[0])
    values = labels.array[0][voxels]
    known, rows = np.unique(values, return_inverse=True)
    counts = np.bincount(rows)
    means = [np.bincount(rows, weights=along) / counts for along in voxels]
    variance = np.bincount(rows, weights=voxels[0].astype(np.float64) ** 2) / counts - means[0] ** 2
    spread = np.sqrt(np.maximum(variance, 0.0)) * labels.spacing[0]
    centres = np.stack(means, axis=1) * labels.spacing
    places = {}
    for row, value in enumerate(known.tolist()):
        if str(value) in sizes:
            i, j, k = centres[row].tolist()
            places[str(value)] = LabelPlace((i, j, k), float(spread[row]))
    return places


def _ignored(files: CaseFiles) -> int:
    """The ignored value; -1, which no labelmap holds, where there is none."""
    return -1 if files.ignore is None else files.ignore

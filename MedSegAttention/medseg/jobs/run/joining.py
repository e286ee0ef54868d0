"""The answers of several stages become one: the later takes the place of the earlier, or probabilities are averaged."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.bundles.stages import Stage
from medseg.imaging.image import Image
from medseg.imaging.overlap import answer_dtype
from medseg.imaging.steps import Crop
from medseg.spec.labels import LabelSpec
from medseg.spec.manifest import ModelManifest


def joining(manifest: ModelManifest, image: Image, *, wants_probabilities: bool) -> "Joined":
    """Begin the joined answer of a model with stages on the grid of an image."""
    composition = manifest.composition
    if composition is not None and composition.join == "mean":
        kind = Mean if manifest.overlapping is None else MeanOfOverlapping
        return kind(manifest, image, len(composition.answering), wants_probabilities=wants_probabilities)
    return Overwrite(manifest, image, wants_probabilities=wants_probabilities)


class Joined(ABC):
    """What the stages said so far.

    Attributes:
        wants_probabilities: whether the stages that answer are to give theirs.
    """

    wants_probabilities: bool

    @abstractmethod
    def add(
        self,
        stage: Stage,
        crop: Crop,
        specs: Sequence[LabelSpec],
        labels: NDArray[Any],
        probabilities: NDArray[np.float32] | None,
    ) -> None:
        """Add what a stage said of a part of the image.

        Args:
            stage: which; one without answers changes nothing.
            crop: the part.
            specs: of its labels.
            labels: ``(i, j, k)`` of the part.
            probabilities: ``(L, i, j, k)`` of the part, where they are wanted.
        """

    @abstractmethod
    def skip(self, stage: Stage) -> None:
        """Take a stage for one that found nothing."""

    @abstractmethod
    def finish(self) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Give labels ``(I, J, K)``, and probabilities ``(L, I, J, K)`` where they are wanted."""


class Overwrite(Joined):
    """What a stage finds takes the place of what those before it found.

    The probability of a label is the one that its stage gave, that of the background the smallest of all stages.
    """

    def __init__(self, manifest: ModelManifest, image: Image, *, wants_probabilities: bool) -> None:
        self.wants_probabilities = wants_probabilities
        self._labels = np.zeros(image.shape, dtype=answer_dtype(manifest.label_count, overlap=False))
        self._probabilities: NDArray[np.float32] | None = None
        if wants_probabilities:
            self._probabilities = np.zeros((manifest.label_count, *image.shape), dtype=np.float32)
            self._probabilities[0] = 1.0

    def add(
        self,
        stage: Stage,
        crop: Crop,
        specs: Sequence[LabelSpec],
        labels: NDArray[Any],
        probabilities: NDArray[np.float32] | None,
    ) -> None:
        """Paint the labels that count over those that are there."""
        if not stage.spec.answers:
            return
        table = np.zeros(1 + max(spec.value for spec in specs), dtype=self._labels.dtype)
        for own, value in _pairs(stage, specs):
            table[own] = value
        mapped = table[labels]
        part = self._labels[_box(crop)]
        part[mapped > 0] = mapped[mapped > 0]
        if self._probabilities is None or probabilities is None:
            return
        there = self._probabilities[(slice(None), *_box(crop))]
        background = np.ones_like(probabilities[0])
        for own, value in _pairs(stage, specs):
            np.maximum(there[value], probabilities[own], out=there[value])
            background -= probabilities[own]
        np.minimum(there[0], np.maximum(background, 0.0), out=there[0])

    def skip(self, stage: Stage) -> None:
        """Nothing is painted."""

    def finish(self) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Give what was painted."""
        return self._labels, self._probabilities


class Mean(Joined):
    """Probabilities are averaged, as nnU-Net does it for an ensemble of configurations; the largest wins."""

    wants_probabilities = True

    def __init__(self, manifest: ModelManifest, image: Image, count: int, *, wants_probabilities: bool) -> None:
        self._manifest, self._count, self._returned = manifest, count, wants_probabilities
        self._dtype = answer_dtype(manifest.label_count, overlap=manifest.overlapping is not None)
        self._sum = np.zeros((manifest.label_count, *image.shape), dtype=np.float32)

    def add(
        self,
        stage: Stage,
        crop: Crop,
        specs: Sequence[LabelSpec],
        labels: NDArray[Any],  # noqa: ARG002 - probabilities say more
        probabilities: NDArray[np.float32] | None,
    ) -> None:
        """Add probabilities."""
        if not stage.spec.answers:
            return
        if probabilities is None:
            msg = f"the stage {stage.spec.name} is averaged and gave no probabilities"
            raise ValueError(msg)
        self._sum_up(stage, crop, specs, probabilities)

    def _sum_up(self, stage: Stage, crop: Crop, specs: Sequence[LabelSpec], probabilities: NDArray[np.float32]) -> None:
        """Beyond the part there is background."""
        if crop.shape != crop.source_shape:
            self._sum[0] += 1.0
            self._sum[(0, *_box(crop))] -= 1.0
        for own, value in ((0, 0), *_pairs(stage, specs)):
            self._sum[(value, *_box(crop))] += probabilities[own]

    def skip(self, stage: Stage) -> None:
        """It says background everywhere."""
        if stage.spec.answers:
            self._sum[0] += 1.0

    def finish(self) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Give the label of the largest mean, the lower where two are equal."""
        self._sum /= np.float32(self._count)
        return self._sum.argmax(axis=0).astype(self._dtype), self._sum if self._returned else None


class MeanOfOverlapping(Mean):
    """Probabilities of labels that overlap are averaged; a voxel belongs to those whose mean reaches the threshold.

    The labels are bits, as of every model whose labels overlap. Beyond the part that a stage was shown is none of them.
    """

    def _sum_up(self, stage: Stage, crop: Crop, specs: Sequence[LabelSpec], probabilities: NDArray[np.float32]) -> None:
        """Beyond the part there is nothing."""
        outputs = {label.value: number for number, label in enumerate(self._manifest.labels)}
        own = stage.bundle.manifest
        for spec in specs:
            number = outputs[stage.spec.answers[spec.name]]
            self._sum[(number, *_box(crop))] += probabilities[own.output_of(_of_value(own, spec.value))]

    def skip(self, stage: Stage) -> None:
        """It found none of them."""

    def finish(self) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Give the bits of the labels whose mean is large enough."""
        self._sum /= np.float32(self._count)
        found = np.zeros(self._sum.shape[1:], dtype=self._dtype)
        rule = self._manifest.overlapping
        for number, mean in enumerate(self._sum):
            if rule is not None:
                found |= (mean >= rule.threshold).astype(found.dtype) << number
        return found, self._sum if self._returned else None


def _of_value(manifest: ModelManifest, value: int) -> LabelSpec:
    return next(label for label in manifest.labels if label.value == value)


def _pairs(stage: Stage, specs: Sequence[LabelSpec]) -> Iterator[tuple[int, int]]:
    """A label's value in the stage's answer, and in the result."""
    for spec in specs:
        if spec.name in stage.spec.answers:
            yield spec.value, stage.spec.answers[spec.name]


def _box(crop: Crop) -> tuple[slice, slice, slice]:
    (i, j, k), (a, b, c) = crop.start, crop.shape
    return slice(i, i + a), slice(j, j + b), slice(k, k + c)

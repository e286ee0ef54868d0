"""A model of several stages over one image: each is loaded, run and released in turn, and the answers become one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.bundles.catalogue import Bundle
from medseg.bundles.stages import Stage, open_stages
from medseg.imaging.image import Image
from medseg.imaging.label_box import around_labels, region_inside
from medseg.imaging.overlap import as_layers, painted, postprocess_members
from medseg.imaging.postprocess import postprocess
from medseg.imaging.steps import Crop
from medseg.inference.run_plan import RunPlan, result_labels
from medseg.inference.stages_forecast import stage_options
from medseg.jobs.run.joining import Joined, joining
from medseg.jobs.run.network_run import Answer
from medseg.jobs.run.progress import ProgressReporter
from medseg.spec.events import Event, Progress, Warned
from medseg.spec.job import Options
from medseg.spec.manifest import LabelSpec

Found: TypeAlias = tuple[Answer, NDArray[np.float32] | None]
"""An answer, its values labels ``(I, J, K)`` on the image's grid; and the probabilities ``(L, I, J, K)``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What one stage is asked.

    Attributes:
        image: ``(C, I, J, K)`` that it is shown.
        previous: labels ``(I, J, K)`` of an earlier stage on the same grid; None: it is shown none.
        wants_probabilities: whether they are wanted too.
    """

    bundle: Bundle
    image: Image
    previous: NDArray[Any] | None
    options: Options
    progress: ProgressReporter
    wants_probabilities: bool


@dataclass(eq=False, kw_only=True)
class StagesRun:
    """A model of several stages, and the image that it is asked about.

    Attributes:
        ask: runs one stage and keeps nothing of it; the single run of any model.
    """

    bundle: Bundle
    options: Options
    progress: ProgressReporter
    wants_probabilities: bool
    ask: Callable[[Question], Found]
    _labels: dict[str, NDArray[Any]] = field(default_factory=dict)  # of stages that later ones use
    _specs: dict[str, Sequence[LabelSpec]] = field(default_factory=dict)

    def answer(self, image: Image, plans: Sequence[RunPlan]) -> Found:
        """Run the stages over an image.

        Args:
            image: ``(C, I, J, K)``, the whole.
            plans: of each stage over the whole; they say how long each is of the work.

        Returns:
            As every run: the labels of the joined answer; times and windows are sums over the stages.

        Raises:
            ManifestError: when a stage is missing, or does not fit the others.
            JobError, WeightsError: as a single run.
        """
        stages = open_stages(self.bundle)
        composition = self.bundle.manifest.composition
        if composition is None:
            msg = f"{self.bundle.manifest.model_id} is one network and has no stages"
            raise ValueError(msg)
        joined = joining(self.bundle.manifest, image, wants_probabilities=self.wants_probabilities)
        meter = _Meter(self.progress, [plan.forward_passes for plan in plans])
        total: Answer | None = None
        for number, (stage, chosen) in enumerate(zip(stages, stage_options(stages, self.options), strict=True)):
            self.progress.stop_if_asked()
            answer = self._run(stage, chosen, image, joined, meter.of_stage(number), number)
            total = answer if total is None else _sum(total, answer)
        meter.end()
        if total is None:
            msg = f"{self.bundle.manifest.model_id}: no stage was run"
            raise ValueError(msg)
        begun = time.perf_counter()
        labels, probabilities = joined.finish()
        _add(self.progress.seconds, {"postprocess": time.perf_counter() - begun})
        return replace(total, values=labels, is_scores=False, plan=replace(total.plan, boxes=())), probabilities

    def _run(
        self, stage: Stage, chosen: Options, image: Image, joined: Joined, progress: ProgressReporter, number: int
    ) -> Answer | None:
        """Ask one stage; None when what it looks around was not found."""
        composition, spec = self.bundle.manifest.composition, stage.spec
        crop = self._crop(stage, image)
        region = None if crop is None else region_inside(crop, image, chosen)
        if crop is None or region is None:
            where = spec.within.stage if spec.within is not None else ""
            reason = f"{where} found nothing to look around" if crop is None else f"{where} found it outside the region"
            self.progress.warn(f"{reason}, so {spec.name} was not run")
            if composition is not None and composition.needs(spec.name, number + 1):
                self._labels[spec.name] = np.zeros(image.shape, dtype=np.uint8)
            joined.skip(stage)
            return None
        part = replace(crop.apply(image), modality=image.modality, spacing_known=image.spacing_known)
        previous = self._labels.get(spec.previous)
        found, probabilities = self.ask(
            Question(
                bundle=stage.bundle,
                image=part,
                previous=None if previous is None else crop.apply(Image(previous[None], image.affine)).array[0],
                options=region,
                progress=progress,
                wants_probabilities=joined.wants_probabilities and bool(spec.answers),
            )
        )
        _add(self.progress.seconds, progress.seconds)
        specs = result_labels(part.shape, part.affine, stage.bundle.manifest, region)
        tidied = Image(found.values[None], part.affine, spacing_known=image.spacing_known)
        own = stage.bundle.manifest
        if own.overlapping is None:
            labels = postprocess(tidied, own.postprocess).array[0]
        else:  # a later stage is shown what a file of one number a voxel would hold
            layers = as_layers(postprocess_members(tidied, own.postprocess, own.label_count), own)
            labels = painted(layers, own.painted_labels).array[0]
        joined.add(stage, crop, specs, labels, probabilities)
        if composition is not None and composition.needs(spec.name, number + 1):
            self._labels[spec.name] = crop.undo(Image(labels[None], part.affine)).array[0]
            self._specs[spec.name] = specs
        return found

    def _crop(self, stage: Stage, image: Image) -> Crop | None:
        """The part of the image that a stage is shown; None: there is none."""
        within = stage.spec.within
        if within is None:
            return Crop.to_box(image, (0, 0, 0), image.shape)
        labels = self._labels[within.stage]
        specs = self._specs.get(within.stage, ())
        values = [spec.value for spec in specs if spec.name in within.labels or not within.labels]
        return around_labels(Image(labels[None], image.affine), values, within.margin_mm)


class _Meter:
    """The progress of several stages as that of one job: windows of all, each stage as long as it was planned."""

    def __init__(self, progress: ProgressReporter, lengths: Sequence[int]) -> None:
        self._progress, self._lengths = progress, lengths
        self._begun = time.perf_counter()
        self._tell(0)

    def of_stage(self, number: int) -> ProgressReporter:
        """The reporter of one stage: warnings and windows are passed on, the times are its own."""
        before = sum(self._lengths[:number])
        self._tell(before)

        def hear(event: Event) -> None:
            if isinstance(event, Warned):
                self._progress.warn(event.message)
            elif isinstance(event, Progress) and event.stage == "windows" and event.total:
                self._tell(before + event.done * self._lengths[number] // event.total)

        return ProgressReporter(hear, self._progress.cancelled)

    def end(self) -> None:
        """Everything is done, also what was left out."""
        self._tell(sum(self._lengths))

    def _tell(self, done: int) -> None:
        total = sum(self._lengths)
        passed = time.perf_counter() - self._begun
        left = passed / done * (total - done) if done else None
        self._progress.on_event(Progress("windows", done, total, left))


def _sum(total: Answer, other: Answer | None) -> Answer:
    """Times and windows of both; how it ran is said of each once."""
    if other is None:
        return total
    parts = {name: total.parts.get(name, 0.0) + seconds for name, seconds in other.parts.items()}
    engines = dict.fromkeys([*total.engine.split("; "), *other.engine.split("; ")])
    return replace(other, parts=parts, window_count=total.window_count + other.window_count, engine="; ".join(engines))


def _add(seconds: dict[str, float], more: dict[str, float]) -> None:
    for name, value in more.items():
        seconds[name] = seconds.get(name, 0.0) + value

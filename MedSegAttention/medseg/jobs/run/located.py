"""A model that was located in a larger image: where, and its answer box by box on the grid of the whole."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from medseg.bundles.catalogue import Bundle, template_folder
from medseg.imaging.domain import check_boxes, check_contrast
from medseg.imaging.image import Affine, Image
from medseg.imaging.locate import BoxCanvas, LocatedBox, cut_box, place_boxes
from medseg.imaging.preprocess import prepare
from medseg.imaging.refine import refined_box, same_place
from medseg.imaging.registration import Template, register
from medseg.inference.run_plan import RunPlan, box_spacing, plan_run
from medseg.io.read import read_image, read_labels
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.network_run import Answer, NetworkRun
from medseg.jobs.run.progress import ProgressReporter
from medseg.spec.job import Options
from medseg.spec.locating import LocateRule


def read_template(bundle: Bundle, rule: LocateRule) -> Template:
    """Read the head in which the boxes of a model are known.

    Raises:
        ManifestError: when it is missing.
    """
    folder = template_folder(bundle, rule.template)
    return Template(read_image(folder / "t1.nii.gz").image, read_labels(folder / "regions.nii.gz"))


def locate(image: Image, bundle: Bundle, rule: LocateRule, progress: ProgressReporter) -> tuple[LocatedBox, ...]:
    """Find the boxes of a model in an image, and warn of what is not as the model knows it.

    Raises:
        ImageError: when there is no head that the template fits, or a box lies outside the image.
        ManifestError: when the template is missing.
    """
    template = read_template(bundle, rule)
    found = register(image, template)
    boxes = place_boxes(rule, found, image)
    for remark in (*check_contrast(image, template, found.to_patient, bundle.manifest), *check_boxes(boxes)):
        progress.warn(remark)
    return boxes


@dataclass(frozen=True, eq=False, kw_only=True)
class BoxRuns:
    """A model, and the boxes of an image in which it is asked."""

    bundle: Bundle
    network: nn.Module
    options: Options
    plan: RunPlan
    engines: KeptEngines
    progress: ProgressReporter

    def answer(
        self, image: Image, on_window: Callable[[int, int], None], *, want_probabilities: bool
    ) -> tuple[Answer, NDArray[np.float32] | None]:
        """Ask the network box by box.

        Args:
            image: ``(C, I, J, K)``, the whole.
            on_window: called with (windows done, windows in all boxes).
            want_probabilities: whether they are wanted too.

        Returns:
            What it said, labels ``(I, J, K)``; and the probabilities ``(L, I, J, K)``.
        """
        manifest = self.bundle.manifest
        canvas = BoxCanvas(image, len(manifest.located_labels) + 1, probabilities=want_probabilities)
        total: Answer | None = None
        plan, boxes = self.plan, []
        for number, box in enumerate(self.plan.boxes):
            done = number * plan.looks, len(self.plan.boxes) * plan.looks
            found = self._in_box(image, box, plan, _Steps(on_window, *done, windows=len(self.plan.windows)))
            values = [label.value for label in box.spec.labels or manifest.labels]
            canvas.paint(found.box, found.answer.values, found.affine, values)
            boxes.append(found.box)
            plan = found.answer.plan  # what needed less memory once does so again
            total = found.answer if total is None else _sum(total, found.answer)
        if total is None:
            msg = "a located model has at least one box, got none"
            raise ValueError(msg)
        plan = replace(plan, boxes=tuple(boxes))
        return replace(total, values=canvas.labels, is_scores=False, plan=plan), canvas.probabilities

    def _in_box(self, image: Image, box: LocatedBox, plan: RunPlan, steps: "_Steps") -> "_Found":
        """Ask the network in a box, and again around what it found, as often as the plan says."""
        manifest = self.bundle.manifest
        margin = 0.0 if manifest.locate is None else manifest.locate.refine_margin_mm
        total: Answer | None = None
        look = 1
        while True:
            cut = cut_box(image, box, box_spacing(image, manifest))
            own = plan_run(cut, manifest, self.options, device=plan.device)
            own = replace(own, engine=plan.engine, precision=plan.precision, window_batch=plan.window_batch)
            own = replace(own, boxes=plan.boxes, looks=plan.looks, source_shape=plan.source_shape)
            prepared = prepare(cut, manifest, own.grids)
            run = NetworkRun(
                prepared=prepared,
                network=self.network,
                plan=own,
                engines=self.engines,
                progress=self.progress,
                want_scores=True,
            )
            answer = run.answer(steps.of_look(look))
            total = answer if total is None else _sum(total, answer)
            found = _Found(box, prepared.image.affine, total)
            if look == plan.looks:
                return found
            plan, look = answer.plan, look + 1
            narrower = refined_box(box, answer.values, found.affine, margin)
            if narrower is None:
                self.progress.warn(
                    f"too little of the {box.spec.name} was found in its box to look again around it: check it"
                )
            if narrower is None or same_place(box, narrower):
                steps.of_look(plan.looks)(1, 1)  # those that are left out
                return found
            box = narrower


@dataclass(frozen=True, eq=False)
class _Found:
    """The last box of a place, the grid of its scores in the box's frame, and the scores; their time is that of all."""

    box: LocatedBox
    affine: Affine
    answer: Answer


@dataclass(frozen=True, eq=False)
class _Steps:
    """Tells windows of all looks at all boxes, each look counted as one at the largest box."""

    on_window: Callable[[int, int], None]
    looks_before: int
    looks: int
    windows: int

    def of_look(self, look: int) -> Callable[[int, int], None]:
        """What hears (windows done, windows in all) of one look; the first is 1."""

        def step(done: int, total: int) -> None:
            before = self.looks_before + look - 1
            self.on_window(before * self.windows + done * self.windows // total, self.looks * self.windows)

        return step


def _sum(first: Answer, other: Answer) -> Answer:
    parts = {name: first.parts.get(name, 0.0) + seconds for name, seconds in other.parts.items()}
    return replace(other, parts=parts, window_count=first.window_count + other.window_count)

"""A model that was located in a larger image: where, and its answer box by box on the grid of the whole."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from medseg.bundles.catalogue import Bundle, template_folder
from medseg.imaging.domain import check_boxes, check_contrast
from medseg.imaging.image import Image
from medseg.imaging.locate import BoxCanvas, LocatedBox, cut_box, place_boxes
from medseg.imaging.preprocess import prepare
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
        plan = self.plan
        for number, box in enumerate(self.plan.boxes):
            cut = cut_box(image, box, box_spacing(image, manifest))
            own = plan_run(cut, manifest, self.options, device=plan.device)
            own = replace(own, engine=plan.engine, precision=plan.precision, window_batch=plan.window_batch)
            own = replace(own, boxes=plan.boxes, source_shape=plan.source_shape)
            prepared = prepare(cut, manifest, own.grids)
            run = NetworkRun(
                prepared=prepared,
                network=self.network,
                plan=own,
                engines=self.engines,
                progress=self.progress,
                want_scores=True,
            )
            found = run.answer(_step_of(on_window, number, len(plan.boxes)))
            values = [label.value for label in box.spec.labels or manifest.labels]
            canvas.paint(box, found.values, prepared.image.affine, values)
            plan = found.plan  # what needed less memory once does so again
            total = found if total is None else _sum(total, found)
        if total is None:
            msg = "a located model has at least one box, got none"
            raise ValueError(msg)
        return replace(total, values=canvas.labels, is_scores=False, plan=plan), canvas.probabilities


def _sum(first: Answer, other: Answer) -> Answer:
    parts = {name: first.parts.get(name, 0.0) + seconds for name, seconds in other.parts.items()}
    return replace(other, parts=parts, window_count=first.window_count + other.window_count)


def _step_of(on_window: Callable[[int, int], None], number: int, boxes: int) -> Callable[[int, int], None]:
    return lambda done, total: on_window(number * total + done, boxes * total)

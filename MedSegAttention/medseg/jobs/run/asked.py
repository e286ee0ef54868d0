"""A model asked about an image: over the whole, in boxes where it is located, or stage by stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.image import Image
from medseg.imaging.preprocess import Prepared, prepare
from medseg.inference.run_plan import RunPlan, plan_boxes
from medseg.inference.stages_forecast import plan_image
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.located import BoxRuns, locate
from medseg.jobs.run.network_run import Answer, NetworkRun
from medseg.jobs.run.progress import ProgressReporter
from medseg.jobs.run.stages import Question, StagesRun
from medseg.spec.job import Options
from medseg.spec.locating import LocateRule


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked for, and what it takes to answer."""

    bundle: Bundle
    options: Options
    device: str
    load: Callable[[Bundle], nn.Module]
    engines: KeptEngines
    progress: ProgressReporter
    wants_probabilities: bool
    previous: NDArray[Any] | None = None  # labels (I, J, K) of an earlier stage, for a stage that is shown them
    keep_stages: bool = False  # whether stages, too, are loaded by ``load`` and run by ``engines``

    def answer(self, image: Image, plans: Sequence[RunPlan]) -> tuple[Answer, NDArray[np.float32] | None]:
        """Run the model, or its stages, over an image or the parts of it where it applies; a plan a stage."""
        rule = self.bundle.manifest.locate
        if self.bundle.manifest.composition is not None:
            return self.staged(image, plans)
        return self.whole(image, plans[0]) if rule is None or not plans[0].boxes else self.located(image, rule)

    def staged(self, image: Image, plans: Sequence[RunPlan]) -> tuple[Answer, NDArray[np.float32] | None]:
        """The same for a model of several stages, of which one is there at a time, unless all are to be kept."""
        kept = (self.load, self.engines) if self.keep_stages else None
        run = StagesRun(
            bundle=self.bundle,
            options=self.options,
            progress=self.progress,
            wants_probabilities=self.wants_probabilities,
            ask=partial(ask_stage, device=self.device, kept=kept),
        )
        return run.answer(image, plans)

    def whole(self, image: Image, plan: RunPlan) -> tuple[Answer, NDArray[np.float32] | None]:
        """Run the model over an image; gives labels ``(I, J, K)`` on its grid, and probabilities if they are wanted."""
        with self.progress.stage("preprocess"):
            network = self.load(self.bundle)
            prepared = prepare(image, self.bundle.manifest, plan.grids, previous=self.previous)
        run = NetworkRun(
            prepared=prepared,
            network=network,
            plan=plan,
            engines=self.engines,
            progress=self.progress,
            want_scores=self.wants_probabilities,
        )
        with self.progress.stage("windows", total=0) as step:
            found = run.answer(step)
        labels, probabilities = _on_input_grid(found, prepared, self.progress)
        return replace(found, values=labels), probabilities

    def located(self, image: Image, rule: LocateRule) -> tuple[Answer, NDArray[np.float32] | None]:
        """The same where the model applies to parts of the image alone, which are found first."""
        with self.progress.stage("locate"):
            boxes = locate(image, self.bundle, rule, self.progress)
        self.progress.stop_if_asked()
        runs = BoxRuns(
            bundle=self.bundle,
            network=self.load(self.bundle),
            options=self.options,
            plan=plan_boxes(image, boxes, self.bundle.manifest, self.options, device=self.device),
            engines=self.engines,
            progress=self.progress,
        )
        with self.progress.stage("windows", total=0) as step:
            found = runs.answer(image, step, want_probabilities=self.wants_probabilities)
        with self.progress.stage("restore"):  # it was done box by box
            return found


def ask_stage(
    question: Question, *, device: str, kept: tuple[Callable[[Bundle], nn.Module], KeptEngines] | None = None
) -> tuple[Answer, NDArray[np.float32] | None]:
    """Load a stage and run it; without ``kept`` neither its network nor its engine stays."""
    load, engines = kept or (load_network, KeptEngines())
    asked = Asked(
        question.bundle,
        question.options,
        device,
        load,
        engines,
        question.progress,
        question.wants_probabilities,
        question.previous,
    )
    plans = plan_image(question.image, question.bundle, question.options, device=device)
    found = asked.answer(question.image, plans)
    del asked, engines
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    return found


def _on_input_grid(
    found: Answer, prepared: Prepared, progress: ProgressReporter
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Give the labels ``(I, J, K)`` on the input's grid, and the probabilities ``(L, I, J, K)`` if there are scores."""
    if not found.is_scores:
        with progress.stage("restore"):  # it was done window by window
            return found.values, None
    probabilities = np.empty((len(found.values), *prepared.source_shape), dtype=np.float32)
    with progress.stage("restore", total=len(found.values)) as step:
        return prepared.restore_labels(found.values, probabilities=probabilities, on_label=step), probabilities

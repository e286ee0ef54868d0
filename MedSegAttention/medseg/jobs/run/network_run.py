"""A prepared image to labels on the input's grid: the engine, the windows, and what to do when memory runs out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from medseg.imaging.preprocess import Prepared
from medseg.inference.out_of_memory import is_out_of_memory
from medseg.inference.predictor import HalfPrecisionOverflow, predict, sample_windows
from medseg.inference.run_plan import RunPlan, with_less_memory
from medseg.inference.streaming import predict_labels
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.progress import ProgressReporter
from medseg.kernels.engines.engine import Engine
from medseg.spec.errors import JobError


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What the network said of all windows, and what that took.

    Attributes:
        values: labels ``(I, J, K)`` on the input's grid, decoded window by window; or where scores were wanted,
            probabilities ``(L, i, j, k)`` on the prepared grid.
        is_scores: which of them they are.
        plan: how it ran in the end.
        engine: what ran it, in words for the user.
        parts: seconds of "engine" (getting ready), "network", "stitch" and "decode"; with scores stitching counts as
            network, and decoding comes later.
        window_count: windows the network saw, each mirror image counted.
    """

    values: NDArray[Any]
    is_scores: bool
    plan: RunPlan
    engine: str
    parts: dict[str, float]
    window_count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkRun:
    """One case's network, and what it is asked about."""

    prepared: Prepared
    network: nn.Module
    plan: RunPlan
    engines: KeptEngines
    progress: ProgressReporter
    want_scores: bool

    def answer(self, on_window: Callable[[int, int], None]) -> Answer:
        """Run the network; when memory runs out ask for less, and say so.

        Args:
            on_window: called with (windows done, windows in all); whatever it raises stops the work.

        Raises:
            JobError: when nothing needs little enough memory, or the network's values are not finite.
        """
        reason, model_id = "", self.plan.manifest.model_id
        for plan in with_less_memory(self.plan):
            if reason:
                self.progress.warn(f"{reason}; trying {plan}")
                self.engines.free_devices()
                torch.cuda.empty_cache()  # here, where the failed attempt holds no tensors any more
            try:
                return self._run(plan, on_window)
            except HalfPrecisionOverflow:
                if plan.precision == self.plan.precision:  # the user's own choice is not changed silently
                    raise
                reason = f"{plan.precision} is too small for the numbers of {model_id}"
            except (MemoryError, OSError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = f"out of memory with {plan}"
        msg = f"{self.plan.device} has too little memory for {model_id}; try --roi to segment a smaller region"
        raise JobError(msg)

    def _run(self, plan: RunPlan, on_window: Callable[[int, int], None]) -> Answer:
        """Run in one way."""
        begun = time.perf_counter()
        engine = self._engine(plan)
        ready = time.perf_counter()
        parts = {"engine": ready - begun}
        values: NDArray[Any]
        if self.want_scores:
            values = predict(self.prepared.image.array, self.network, plan, on_window=on_window, engine=engine)
            windows = len(plan.windows)
            parts["network"] = time.perf_counter() - ready
        else:
            found = predict_labels(self.prepared, self.network, plan, on_window=on_window, engine=engine)
            values, windows = found.labels, found.windows
            parts |= found.seconds
        return Answer(
            values=values,
            is_scores=self.want_scores,
            plan=plan,
            engine=engine.description,
            parts=parts,
            window_count=windows * plan.passes,
        )

    def _engine(self, plan: RunPlan) -> Engine:
        """Make the engine ready, or take that of an earlier job."""
        compares = plan.device == "cpu" and plan.precision == "bfloat16" and plan.engine != "torch"
        engine = self.engines.get(
            self.network,
            plan.manifest,
            name=plan.engine,
            device=torch.device(plan.device),
            precision=plan.precision,
            passes=plan.forward_passes,
            real_windows=sample_windows(self.prepared.image.array, plan) if compares else None,
        )
        for remark in engine.remarks:
            self.progress.warn(remark)
        return engine

"""A prepared image to labels on the input's grid: the engine, the windows, and what to do when memory runs out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medseg.imaging.preprocess import Prepared
from medseg.inference.mirror_axes import mirror_axes
from medseg.inference.out_of_memory import is_out_of_memory
from medseg.inference.predictor import HalfPrecisionOverflow, predict
from medseg.inference.streaming import count_windows, predict_labels
from medseg.inference.streaming_samples import sample_windows
from medseg.jobs.run.attempts import Attempt, attempts
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.progress import ProgressReporter
from medseg.kernels.engines.engine import Engine
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What the network said, and what that took.

    Attributes:
        labels: ``(I, J, K)`` on the input's grid.
        probabilities: ``(L, I, J, K)`` there; None unless asked for.
        device: what it ran on.
        engine: what ran it, as the user is told.
        parts: seconds of "engine" (getting ready), "network", "stitch" and "decode"; with probabilities stitching
            counts as network, and decoding is the stage "restore".
        window_count: windows the network saw, each mirror image counted.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float32] | None
    device: torch.device
    engine: str
    parts: dict[str, float]
    window_count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkRun:
    """One case's network, and how the user wants it run."""

    prepared: Prepared
    network: nn.Module
    manifest: ModelManifest
    options: Options
    engines: KeptEngines
    progress: ProgressReporter
    want_probabilities: bool

    def answer(self, device: torch.device) -> Answer:
        """Run the network; when memory runs out ask for less, and say so.

        Raises:
            JobError: when nothing needs little enough memory, or the network's values are not finite.
            Cancelled: when asked to stop.
        """
        with self.progress.stage("windows", total=0) as step:
            found = self._try_in_turn(device, step)
        if isinstance(found, Answer):
            with self.progress.stage("restore"):  # it was done window by window
                return found
        scores, answer = found
        whole = np.empty((len(scores), *self.prepared.source_shape), dtype=np.float32)
        with self.progress.stage("restore", total=len(scores)) as step:
            labels = self.prepared.restore_labels(scores, probabilities=whole, on_label=step)
        return answer(labels, whole)

    def _try_in_turn(self, device: torch.device, step: Callable[[int, int], None]) -> "Answer | _Unfinished":
        """The first way to run that works."""
        reason = ""
        for attempt in attempts(device, self.options):
            if reason:
                self.progress.warn(f"{reason}; trying {attempt}")
                self.engines.free_devices()
                torch.cuda.empty_cache()  # here, where the failed attempt holds no tensors any more
            try:
                return self._try(attempt, step)
            except HalfPrecisionOverflow:
                if attempt.precision == self.options.precision:  # the user's own choice is not changed silently
                    raise
                reason = f"{attempt.precision} is too small for the numbers of {self.manifest.model_id}"
            except (MemoryError, OSError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = f"out of memory with {attempt}"
        msg = f"{device} has too little memory for {self.manifest.model_id}; try --roi to segment a smaller region"
        raise JobError(msg)

    def _try(self, attempt: Attempt, step: Callable[[int, int], None]) -> "Answer | _Unfinished":
        """Run in one way."""
        begun = time.perf_counter()
        flips = 2 ** len(mirror_axes(self.manifest, self.options.mirror))
        engine = self._engine(attempt, flips)
        ready = time.perf_counter() - begun
        shown = 0

        def on_window(done: int, total: int) -> None:
            nonlocal shown
            shown = total
            step(done, total)

        settings: dict[str, Any] = {
            "device": attempt.device,
            "overlap": self.options.overlap,
            "mirror": self.options.mirror,
            "window_batch": attempt.window_batch,
            "precision": attempt.precision,
            "on_window": on_window,
            "engine": engine,
        }
        if not self.want_probabilities:
            found = predict_labels(self.prepared, self.network, self.manifest, **settings)
            return Answer(
                labels=found.labels,
                probabilities=None,
                device=attempt.device,
                engine=engine.description,
                parts={"engine": ready, **found.seconds},
                window_count=found.windows * flips,
            )
        begun = time.perf_counter()
        scores = predict(self.prepared.image.array, self.network, self.manifest, **settings)
        parts = {"engine": ready, "network": time.perf_counter() - begun}
        return scores, lambda labels, whole: Answer(
            labels=labels,
            probabilities=whole,
            device=attempt.device,
            engine=engine.description,
            parts=parts,
            window_count=shown * flips,
        )

    def _engine(self, attempt: Attempt, flips: int) -> Engine:
        """Make the engine ready, or take that of an earlier job."""
        compares = attempt.device.type == "cpu" and attempt.precision == "bfloat16" and attempt.engine != "torch"
        engine = self.engines.get(
            self.network,
            self.manifest,
            name=attempt.engine,
            device=attempt.device,
            precision=attempt.precision,
            passes=count_windows(self.prepared, self.manifest, self.options.overlap) * flips,
            real_windows=sample_windows(self.prepared, self.manifest) if compares else None,
        )
        for remark in engine.remarks:
            self.progress.warn(remark)
        return engine


_Unfinished = tuple[NDArray[np.float32], Callable[[NDArray[Any], NDArray[np.float32]], Answer]]

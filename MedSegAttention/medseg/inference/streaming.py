"""A prepared image in, labels on the input's own grid out: windows, stitching and decoding in one pass."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medseg.imaging.axis_samples import axis_samples
from medseg.imaging.label_canvas import LabelCanvas
from medseg.imaging.monai_resample import MonaiResample
from medseg.imaging.overlap import answer_dtype
from medseg.imaging.preprocess import Prepared
from medseg.inference.predictor import PaddedVolume, answering, mean_of_folds, not_finite, pad_volume, predict
from medseg.inference.run_plan import NetworkPlan
from medseg.inference.sliding_window import ignore_window
from medseg.inference.stitching import Stitcher, Take
from medseg.inference.streaming_labels import DirectLabels, ResampledLabels
from medseg.inference.windows import Window
from medseg.spec.manifest import ModelManifest


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a network said, as labels.

    Attributes:
        labels: ``(I, J, K)`` on the input's grid, uint8 or uint16; where they may overlap the bits of all.
        windows: that the network was shown.
        skipped: windows of air that it was not.
        seconds: wall time of "network", "stitch" and "decode".
    """

    labels: NDArray[Any]
    windows: int
    skipped: int
    seconds: dict[str, float]


@dataclass(eq=False)
class _Clock:
    """Seconds of each part of the work."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: {"network": 0.0, "stitch": 0.0, "decode": 0.0})

    def timed(self, part: str, run: Callable[[], Any]) -> Any:
        """Run something, and wait for a graphics card where it was its work."""
        begun = time.perf_counter()
        result = run()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[part] += time.perf_counter() - begun
        return result


def predict_labels(
    prepared: Prepared,
    network: nn.Module,
    plan: NetworkPlan,
    *,
    on_window: Callable[[int, int], None] = ignore_window,
    engine: Callable[[Tensor], Tensor] | None = None,
) -> Labelled:
    """Run a model over a prepared image and give every voxel of the input its label.

    The labels are those of ``prepared.restore_labels(predict(...))`` up to ties within rounding, but scores of all
    classes exist for a slab at a time only. Windows that hold nothing but air are not run where the manifest says
    what air is; what only such windows see is background.

    Args:
        prepared: as the manifest says.
        network: as in ``predict``.
        plan: made for this image. The sums are kept on its device.
        on_window: called with (windows done, windows in all), those of air too; whatever it raises stops the work.
        engine: runs in the place of the network.

    Raises:
        JobError: when an answer is not finite in float32.
        HalfPrecisionOverflow: when an answer is not finite in a half precision.
        ValueError: when the network answers in another shape, or the plan was made for an image of another shape.
    """
    if isinstance(prepared.resample, MonaiResample) and not prepared.resample.is_along_axes:
        begun = time.perf_counter()
        scores = predict(prepared.image.array, network, plan, on_window=on_window, engine=engine)
        asked = time.perf_counter()
        labels = prepared.restore_labels(scores)
        seconds = {"network": asked - begun, "stitch": 0.0, "decode": time.perf_counter() - asked}
        return Labelled(labels, len(plan.windows), 0, seconds)
    device, label_count, overlapping = torch.device(plan.device), plan.manifest.label_count, plan.manifest.overlapping
    padded = pad_volume(prepared.image.array, plan)
    answer = answering(network, plan, engine)
    dtype = answer_dtype(label_count, overlap=overlapping is not None)
    canvas = LabelCanvas(prepared.reorient, prepared.crop, prepared.region, dtype)
    clock = _Clock(device)
    stays = prepared.resample.is_identity
    take = (
        DirectLabels(canvas.paint, plan.windows.axes, overlapping).take
        if stays
        else ResampledLabels(
            canvas.paint,
            plan.windows.axes,
            axis_samples(prepared.resample),
            shape=tuple(prepared.image.shape[axis] for axis in plan.windows.axes),
            depth=plan.windows.window_shape[plan.windows.axes[0]],
            label_count=label_count,
            device=device,
            of_logits=prepared.has_logits,
            overlapping=overlapping,
            in_half=prepared.in_half,
        ).take
    )
    weigh = not stays or overlapping is not None  # a threshold, unlike the largest, needs the mean
    inside = _inside(take, padded, plan, weigh=weigh)
    run = _Run(padded, plan, answer, clock)
    with torch.inference_mode():
        stitcher = Stitcher(
            plan.windows,
            plan.manifest.network_outputs,
            device,
            lambda *piece: clock.timed("decode", lambda: inside(*piece)),
            weigh=weigh or plan.windows.as_nnunet,
        )
        done = skipped = 0
        for group in _groups(plan, lambda window: is_air(prepared.air, window, padded.inside)):
            run.stitch(group, stitcher)
            done, skipped = done + len(group), skipped + sum(air for _, air in group)
            on_window(done, len(plan.windows))
    clock.seconds["stitch"] -= clock.seconds["decode"]  # which happened within
    return Labelled(canvas.labels, done - skipped, skipped, clock.seconds)


@dataclass(frozen=True, eq=False)
class _Run:
    """A network and the volume it is asked about."""

    padded: PaddedVolume
    plan: NetworkPlan
    answer: Callable[[Tensor], Tensor]
    clock: _Clock

    def stitch(self, group: list[tuple[Window, bool]], stitcher: Stitcher) -> None:
        """Ask about the windows of a group that are not air and add the answers up; none outlives this call."""
        answers = iter(self.ask([window for window, air in group if not air]))
        for _, air in group:
            self.clock.timed("stitch", partial(stitcher.add, None if air else next(answers)))

    def ask(self, windows: list[Window]) -> Tensor:
        """Give the network's logits of some windows, ``(B, L, i, j, k)``."""
        if not windows:
            return torch.empty(0)
        volume, margin = self.padded.volume, self.padded.margin
        seen = torch.stack([volume[(slice(None), *window.widened(margin))] for window in windows])
        logits: Tensor = self.clock.timed("network", lambda: self.answer(seen))
        expected = (len(windows), self.plan.manifest.network_outputs, *self.plan.windows.window_shape)
        if logits.shape != expected:
            msg = f"the network must answer {expected}, got {tuple(logits.shape)}"
            raise ValueError(msg)
        return logits.to(volume.device)


def _groups(plan: NetworkPlan, is_air: Callable[[Window], bool]) -> Iterator[list[tuple[Window, bool]]]:
    """Windows in their order, and whether each is air: as many at a time as hold one batch of others."""
    group: list[tuple[Window, bool]] = []
    others = 0
    for window in plan.windows:
        air = is_air(window)
        group.append((window, air))
        others += 0 if air else 1
        if others == plan.window_batch:
            yield group
            group, others = [], 0
    if group:
        yield group


def _divided(sums: Tensor, manifest: ModelManifest, *, weigh: bool) -> Tensor:
    """Divide sums ``(folds * L + 1, a, u, v)`` by their weights, the last channel, in half precision as nnU-Net does.

    Returns:
        float32, the mean of the folds; with weights of 1 where they are asked for.
    """
    mean = mean_of_folds(sums[:-1] / sums[-1:], manifest).float()
    return torch.cat([mean, torch.ones_like(mean[:1])]) if weigh else mean


def _inside(take: Take, padded: PaddedVolume, plan: NetworkPlan, *, weigh: bool) -> Take:
    """Take only what lies inside the image, without what it was padded with, and refuse what is not finite.

    An axis that was padded has one window, so that blocks begin at its first voxel.
    """
    parts = [padded.inside[axis] for axis in plan.windows.axes]

    def checked(sums: Tensor, first: int, column: int, done: int) -> None:
        cuts = [
            slice(max(0, part.start - start), min(size, part.stop - start))
            for part, start, size in zip(parts, (first, column, 0), sums.shape[1:], strict=True)
        ]
        own = sums[(slice(None), *cuts)]
        if own.numel() == 0 or cuts[0].stop <= cuts[0].start:
            return
        if not bool(torch.isfinite(own.sum())) and not bool(torch.isfinite(own).all()):
            raise not_finite(plan)
        if plan.windows.as_nnunet:
            own = _divided(own, plan.manifest, weigh=weigh)
        before = parts[0].start
        take(own, max(0, first - before), max(0, column - parts[1].start), max(0, done - before))

    return checked


def is_air(air: NDArray[np.bool_] | None, window: Window, inside: tuple[slice, slice, slice]) -> bool:
    """Whether every voxel of a window is air; what the image was padded with is.

    Args:
        air: ``(i, j, k)`` of the prepared image; None: unknown, and no window is air.
        window: of the padded image.
        inside: where the prepared image lies in the padded one.
    """
    if air is None:
        return False
    box = tuple(
        slice(max(0, own.start - part.start), max(0, own.stop - part.start))
        for own, part in zip(window.slices, inside, strict=True)
    )
    return bool(air[box].all())

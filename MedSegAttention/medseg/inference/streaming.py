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
from medseg.imaging.preprocess import Prepared
from medseg.inference.air import is_air
from medseg.inference.predictor import PaddedVolume, answering, check_channels, not_finite, show
from medseg.inference.stitching import Stitcher, Take
from medseg.inference.streaming_labels import DirectLabels, ResampledLabels
from medseg.inference.window_plan import WindowPlan
from medseg.inference.windows import Window
from medseg.spec.job import Precision
from medseg.spec.manifest import ModelManifest


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a network said, as labels.

    Attributes:
        labels: ``(I, J, K)`` on the input's grid, uint8 or uint16.
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
    manifest: ModelManifest,
    *,
    device: torch.device,
    overlap: float | None = None,
    mirror: bool | None = None,
    window_batch: int = 1,
    precision: Precision = "float32",
    on_window: Callable[[int, int], None] | None = None,
    engine: Callable[[Tensor], Tensor] | None = None,
) -> Labelled:
    """Run a model over a prepared image and give every voxel of the input its label.

    The labels are those of ``prepared.restore_labels(predict(...))`` up to ties within rounding, but scores of all
    classes exist for a slab at a time only. Windows that hold nothing but air are not run where the manifest says
    what air is; what only such windows see is background.

    Args:
        prepared: as the manifest says.
        network: as in ``predict``, and so are the other arguments.
        manifest: the model's window, overlap, mirror axes and labels.
        device: where the network runs and the sums are kept.
        overlap: least share of a window that its neighbour also sees; None: the manifest's.
        mirror: average over flips of the manifest's axes: None or True; False: none.
        window_batch: windows a forward pass.
        precision: of the network's arithmetic; the sums are float32 always.
        on_window: told (windows done, windows in all), those of air too; whatever it raises stops the work.
        engine: runs in the place of the network.

    Raises:
        JobError: when the image has another number of channels than the model, mirroring is asked of a model that
            names no axes for it, or an answer is not finite in float32.
        HalfPrecisionOverflow: when an answer is not finite in a half precision.
        ValueError: when the network answers in another shape.
    """
    array = prepared.image.array
    check_channels(array, manifest)
    shown = show(array, manifest, device)
    plan = WindowPlan(shown.shape, manifest.window_shape, manifest.overlap if overlap is None else overlap)
    answer = answering(network, manifest, device=device, mirror=mirror, precision=precision, engine=engine)
    canvas = LabelCanvas(prepared.reorient, prepared.crop, prepared.region, manifest.label_count)
    clock = _Clock(device)
    stays = prepared.resample.is_identity
    take = DirectLabels(canvas.paint, plan.axes).take if stays else _elsewhere(prepared, manifest, plan, canvas, device)
    inside = _inside(take, shown, plan, lambda: not_finite(manifest, precision))
    run = _Run(shown, plan, answer, clock, manifest.label_count)
    with torch.inference_mode():
        stitcher = Stitcher(
            plan,
            manifest.label_count,
            device,
            lambda *piece: clock.timed("decode", lambda: inside(*piece)),
            weigh=not stays,
        )
        done = skipped = 0
        for group in _groups(plan, lambda window: is_air(prepared.air, window, shown.inside), window_batch):
            run.stitch(group, stitcher)
            done, skipped = done + len(group), skipped + sum(air for _, air in group)
            if on_window is not None:
                on_window(done, len(plan))
    clock.seconds["stitch"] -= clock.seconds["decode"]  # which happened within
    return Labelled(canvas.labels, done - skipped, skipped, clock.seconds)


@dataclass(frozen=True, eq=False)
class _Run:
    """A network and the volume it is asked about."""

    shown: PaddedVolume
    plan: WindowPlan
    answer: Callable[[Tensor], Tensor]
    clock: _Clock
    label_count: int

    def stitch(self, group: list[tuple[Window, bool]], stitcher: Stitcher) -> None:
        """Ask about the windows of a group that are not air and add the answers up; none outlives this call."""
        answers = iter(self.ask([window for window, air in group if not air]))
        for _, air in group:
            self.clock.timed("stitch", partial(stitcher.add, None if air else next(answers)))

    def ask(self, windows: list[Window]) -> Tensor:
        """Give the network's logits of some windows, ``(B, L, i, j, k)``."""
        if not windows:
            return torch.empty(0)
        volume, margin = self.shown.volume, self.shown.margin
        seen = torch.stack([volume[(slice(None), *window.widened(margin))] for window in windows])
        logits: Tensor = self.clock.timed("network", lambda: self.answer(seen))
        expected = (len(windows), self.label_count, *self.plan.window_shape)
        if logits.shape != expected:
            msg = f"the network must answer {expected}, got {tuple(logits.shape)}"
            raise ValueError(msg)
        return logits.to(volume.device)


def _groups(plan: WindowPlan, is_air: Callable[[Window], bool], batch: int) -> Iterator[list[tuple[Window, bool]]]:
    """Windows in their order, and whether each is air: as many at a time as hold one batch of others."""
    group: list[tuple[Window, bool]] = []
    for window in plan:
        group.append((window, is_air(window)))
        if sum(not air for _, air in group) == batch:
            yield group
            group = []
    if group:
        yield group


def _elsewhere(
    prepared: Prepared, manifest: ModelManifest, plan: WindowPlan, canvas: LabelCanvas, device: torch.device
) -> Take:
    shape = prepared.image.shape
    return ResampledLabels(
        canvas.paint,
        plan.axes,
        axis_samples(prepared.resample),
        shape=tuple(shape[axis] for axis in plan.axes),
        depth=manifest.window_shape[plan.axes[0]],
        label_count=manifest.label_count,
        device=device,
    ).take


def _inside(take: Take, shown: PaddedVolume, plan: WindowPlan, refuse: Callable[[], Exception]) -> Take:
    """Take only what lies inside the image, without what it was padded with, and refuse what is not finite.

    An axis that was padded has one window, so that blocks begin at its first voxel.
    """
    parts = [shown.inside[axis] for axis in plan.axes]

    def checked(sums: Tensor, first: int, column: int, done: int) -> None:
        cuts = [
            slice(max(0, part.start - start), min(size, part.stop - start))
            for part, start, size in zip(parts, (first, column, 0), sums.shape[1:], strict=True)
        ]
        own = sums[(slice(None), *cuts)]
        if own.numel() == 0 or cuts[0].stop <= cuts[0].start:
            return
        if not bool(torch.isfinite(own.sum())) and not bool(torch.isfinite(own).all()):
            raise refuse()
        before = parts[0].start
        take(own, max(0, first - before), max(0, column - parts[1].start), max(0, done - before))

    return checked


def count_windows(prepared: Prepared, manifest: ModelManifest, overlap: float | None = None) -> int:
    """Windows that cover a prepared image."""
    shape = tuple(np.maximum(prepared.image.shape, manifest.window_shape).tolist())
    return len(WindowPlan(shape, manifest.window_shape, manifest.overlap if overlap is None else overlap))

"""How a case will be run, every default resolved: made once, read by forecast, engine, network and report. No torch.

The window is the manifest's in every plan. A network that normalises each image by itself answers otherwise when it
sees more or less of the body than in training, so nothing makes a window smaller or larger: not a lack of memory, and
not an image that is smaller, which is padded as in training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeVar

import numpy as np

from medseg.imaging.grids import Grids, check_channels, plan_grids
from medseg.imaging.image import Affine, Image, Shape, Spacing
from medseg.imaging.locate import LocatedBox, is_located, nominal_boxes
from medseg.inference.windows import WindowPlan
from medseg.spec.errors import JobError
from medseg.spec.job import EngineName, Options, Precision
from medseg.spec.manifest import LabelSpec, ModelManifest
from medseg.spec.postprocess import PostprocessRule


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkPlan:
    """How a network goes over a prepared image.

    Attributes:
        manifest: of the model.
        device: "cpu", "cuda", "cuda:1" or "mps".
        windows: where they lie in the image, padded to the window where it is smaller, and in which order they come.
        mirror_axes: axes whose mirror images are averaged, 0 = i, 1 = j, 2 = k.
        engine: what runs the network on a processor.
        precision: of the network's arithmetic; sums are float32 always.
        window_batch: windows a forward pass.
    """

    manifest: ModelManifest
    device: str
    windows: WindowPlan
    mirror_axes: tuple[int, ...]
    engine: EngineName
    precision: Precision
    window_batch: int

    @property
    def passes(self) -> int:
        """Forward passes a window: one for each of its mirror images."""
        return 1 << len(self.mirror_axes)

    @property
    def forward_passes(self) -> int:
        """Forward passes of all windows, one at a time."""
        return len(self.windows) * self.passes

    @property
    def device_kind(self) -> str:
        """The device without its number: "cpu", "cuda" or "mps"."""
        return self.device.partition(":")[0]

    def __str__(self) -> str:
        """The warning's words when it is tried for want of memory."""
        windows = "1 window" if self.window_batch == 1 else f"{self.window_batch} windows"
        engine = "" if self.engine == "auto" else f" by {self.engine}"
        return f"{windows} at a time in {self.precision} on {self.device}{engine}"


@dataclass(frozen=True, eq=False, kw_only=True)
class RunPlan(NetworkPlan):
    """How a case is run.

    Attributes:
        grids: what happens to its image first.
        postprocess: what happens to its labels last.
        boxes: where the model was located; the plan is that of the largest. None: it goes over the whole image.
        looks: times the network goes over each box at most: again where its answer narrows the box.
        source_shape: voxels of the image they lie in; None: that of the grids.
    """

    grids: Grids
    postprocess: PostprocessRule
    boxes: tuple[LocatedBox, ...] = ()
    looks: int = 1
    source_shape: Shape | None = None

    @property
    def forward_passes(self) -> int:
        """Forward passes of all windows of all boxes, one at a time, at most."""
        return super().forward_passes * max(1, len(self.boxes)) * self.looks

    @property
    def window_count(self) -> int:
        """Windows of all boxes, at most."""
        return len(self.windows) * max(1, len(self.boxes)) * self.looks


def plan_run(image: Image, manifest: ModelManifest, options: Options, *, device: str) -> RunPlan:
    """Plan a case.

    Args:
        image: ``(C, I, J, K)``; its voxels are looked at where the model is shown the body alone.
        manifest: of the model.
        options: what the user chose.
        device: what the device of the options means on the computer where it will run.

    Raises:
        JobError: if the channels are not the model's, the region misses the volume, or mirroring is asked of a model
            that names no axes.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    grids = plan_grids(
        image,
        manifest,
        options.roi_ras_mm,
        roi_voxels=options.roi_voxels,
        spacing_factor=options.spacing_factor,
    )
    network = plan_network((image.channel_count, *grids.resample.shape), manifest, options, device=device)
    return RunPlan(**vars(network), grids=grids, postprocess=options.postprocess or manifest.postprocess)


def plan_boxes(
    image: Image, boxes: Sequence[LocatedBox], manifest: ModelManifest, options: Options, *, device: str
) -> RunPlan:
    """Plan a case in which the model was located: how the largest box is run, for the others are like it.

    Args:
        image: ``(C, I, J, K)``, the whole.
        boxes: in it, at least one.
        manifest: as in ``plan_run``, and so are the other arguments and the errors.
        options: what the user chose; there is no region in them.
        device: where it will run.
    """
    check_channels(image.channel_count, manifest)
    grids = [box.grid(box_spacing(image, manifest)) for box in boxes]
    shape, affine = max(grids, key=lambda grid: prod(grid[0]))
    plan = plan_run(_blank(len(manifest.channels), shape, affine), _whole(manifest), options, device=device)
    looks = 1 if manifest.locate is None else 1 + manifest.locate.refine
    return replace(plan, manifest=manifest, boxes=tuple(boxes), looks=looks, source_shape=image.shape)


def box_spacing(image: Image, manifest: ModelManifest) -> Spacing:
    """Spacing of what is cut out of an image for a model: the model's, or the finest of the image along every axis."""
    finest = min(image.spacing)
    return manifest.spacing_mm or (finest, finest, finest)


def plan_forecast(image: Image, manifest: ModelManifest, options: Options, *, device: str) -> RunPlan:
    """Plan a case before anything is located: its boxes are then those of the template. Arguments as ``plan_run``."""
    rule = manifest.locate
    if rule is None or not needs_locating(image.shape, image.affine, manifest, options):
        return plan_run(image, manifest, options, device=device)
    return plan_boxes(image, nominal_boxes(rule), manifest, options, device=device)


def needs_locating(shape: Shape, affine: Affine, manifest: ModelManifest, options: Options) -> bool:
    """Whether the model is located in an image first: where it shows much more, and nobody gave a region."""
    has_region = options.roi_ras_mm is not None or options.roi_voxels is not None
    return is_located(manifest.locate, shape, affine, has_region=has_region)


def result_labels(shape: Shape, affine: Affine, manifest: ModelManifest, options: Options) -> tuple[LabelSpec, ...]:
    """The segments that a case will have; they are known before it is run.

    Args:
        shape: voxels of the input along i, j, k.
        affine: ``(4, 4)`` of the input.
        manifest: of the model.
        options: what the user chose.
    """
    is_located_first = needs_locating(shape, affine, manifest, options)
    return manifest.located_labels if is_located_first else manifest.painted_labels


def plan_unseen(shape: Shape, affine: Affine, manifest: ModelManifest, options: Options, *, device: str) -> RunPlan:
    """Plan a case before its voxels are at hand: where the body would be cut out, the whole volume is taken.

    Args:
        shape: voxels of the input along i, j, k.
        affine: ``(4, 4)`` of the input, voxel -> RAS mm.
        manifest: as in ``plan_run``, and so are the other arguments and the errors.
        options: what the user chose.
        device: where it will run.
    """
    image = _blank(len(manifest.channels), shape, affine)
    return replace(plan_forecast(image, _whole(manifest), options, device=device), manifest=manifest)


def _blank(channels: int, shape: Shape, affine: Affine) -> Image:
    return Image(np.broadcast_to(np.uint8(0), (channels, *shape)), affine)  # one byte, seen many times


def _whole(manifest: ModelManifest) -> ModelManifest:
    return replace(manifest, crop_to_body=False)


def plan_network(shape: Sequence[int], manifest: ModelManifest, options: Options, *, device: str) -> NetworkPlan:
    """Plan how a network goes over an image that is prepared.

    Args:
        shape: ``(C, i, j, k)`` of the prepared image.
        manifest: of the model.
        options: what the user chose.
        device: as in ``plan_run``.

    Raises:
        JobError: if the channels are not the model's, or mirroring is asked of a model that names no axes: one
            trained on sided anatomy would be asked about what it never saw.
    """
    check_channels(shape[0], manifest)
    if options.mirror and not manifest.mirror_axes:
        msg = f"{manifest.model_id} names no axes to mirror, it was not trained for that; run it without mirroring"
        raise JobError(msg)
    i, j, k = map(max, shape[1:], manifest.window_shape)
    overlap = manifest.overlap if options.overlap is None else options.overlap
    return NetworkPlan(
        manifest=manifest,
        device=device,
        windows=WindowPlan(
            (i, j, k),
            manifest.window_shape,
            overlap,
            as_nnunet=manifest.nnunet is not None,
            as_monai=manifest.monai is not None,
            equal=manifest.monai is not None and manifest.monai.blend == "constant",
        ),
        mirror_axes=() if options.mirror is False else manifest.mirror_axes,
        engine=options.engine,
        precision=options.precision,
        window_batch=options.window_batch,
    )


_Plan = TypeVar("_Plan", bound=NetworkPlan)


def with_less_memory(plan: _Plan) -> Iterator[_Plan]:
    """Give ways to run, each with less memory than the one before on its device, the plan itself first.

    First half as many windows at a time until there is one. After that a graphics card goes to half precision, unless
    one was asked for already, and then hands over to the processor; a processor leaves OpenVINO for PyTorch. No way
    gives other labels, but for rounding.
    """
    last = plan
    yield last
    while last.window_batch > 1:
        last = replace(last, window_batch=last.window_batch // 2)
        yield last
    if plan.device_kind != "cpu":
        if plan.precision == "float32":
            yield replace(last, precision="float16")
        last = replace(last, device="cpu", precision="float32")
        yield last
    if plan.engine != "torch":
        yield replace(last, engine="torch")

"""How the stages of a model run, and what that takes: one is there at a time, so memory is the largest's. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from medseg.bundles.catalogue import Bundle
from medseg.bundles.stages import Stage, alone
from medseg.imaging.image import Affine, Image, Shape
from medseg.inference.forecast import Forecast, forecast
from medseg.inference.run_plan import RunPlan, plan_forecast, plan_unseen
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest

_FLOAT = 4  # bytes
_MB = 2**20
_COARSEST = 8.0


def plan_image(image: Image, bundle: Bundle, options: Options, *, device: str) -> list[RunPlan]:
    """Plan a case: its model, or each of its stages. Arguments and errors as of ``plan_forecast``."""
    return _plans(bundle, options, lambda manifest, own: plan_forecast(image, manifest, own, device=device))


def plan_stages_unseen(shape: Shape, affine: Affine, bundle: Bundle, options: Options, *, device: str) -> list[RunPlan]:
    """The same before its voxels are at hand. Arguments and errors as of ``plan_unseen``."""
    return _plans(bundle, options, lambda manifest, own: plan_unseen(shape, affine, manifest, own, device=device))


def stage_options(stages: Sequence[Stage], options: Options) -> list[Options]:
    """The options of each stage: those that cannot be mirrored are not, where others can.

    Raises:
        JobError: when mirroring is asked and no stage names axes.
    """
    can = [bool(stage.bundle.manifest.mirror_axes) for stage in stages]
    if options.mirror and len(stages) > 1:
        if not any(can):
            msg = "no stage of this model names axes to mirror, none was trained for that; run it without mirroring"
            raise JobError(msg)
        return [options if able else replace(options, mirror=None) for able in can]
    return [options] * len(stages)


def _plans(bundle: Bundle, options: Options, plan: Callable[[ModelManifest, Options], RunPlan]) -> list[RunPlan]:
    """Plan every stage over the whole image, also one that will be shown a part of it: an upper bound."""
    plans, stages = [], alone(bundle)
    for stage, own in zip(stages, stage_options(stages, options), strict=True):
        manifest = stage.bundle.manifest
        try:
            plans.append(plan(manifest, own))
        except ImageError:
            if stage.spec.within is None:
                raise
            plans.append(plan(manifest, replace(own, spacing_factor=_COARSEST)))  # only a part of it will be so fine
    return plans


def forecast_plans(
    plans: Sequence[RunPlan],
    bundle: Bundle,
    *,
    seconds_per_window: float | None = None,
    voxel_bytes: int = 2,
    probabilities: bool = False,
    openvino: bool = False,
) -> Forecast:
    """Say what a case will take: windows and seconds of all stages, and the memory of the largest.

    Args:
        plans: of the model, or of each of its stages.
        bundle: the model.
        seconds_per_window: as in ``forecast``, and so are the others.
        voxel_bytes: of a voxel of the input.
        probabilities: whether they are wanted too.
        openvino: whether OpenVINO is installed where it will run.
    """
    composition = bundle.manifest.composition
    averages = composition is not None and composition.join == "mean"
    parts = []
    for plan, stage in zip(plans, alone(bundle), strict=True):
        weights = stage.bundle.weights_path  # loading them reports when they are missing
        parts.append(
            forecast(
                plan,
                seconds_per_window=seconds_per_window,
                weights_mb=weights.stat().st_size / _MB if weights.is_file() else 0.0,
                voxel_bytes=voxel_bytes,
                probabilities=probabilities or (averages and bool(stage.spec.answers)),
                openvino=openvino,
            )
        )
    source = prod(plans[0].source_shape or plans[0].grids.reorient.source_shape)
    joins = composition is not None and (averages or probabilities)  # what was said so far is held in floats
    return _joined(parts, round(_FLOAT * bundle.manifest.label_count * source / _MB) if joins else 0)


def _joined(parts: Sequence[Forecast], extra_mb: int) -> Forecast:
    """The sum of windows and seconds, the largest of everything else."""
    cards = [part.device_memory_mb for part in parts if part.device_memory_mb is not None]
    times = [part.seconds for part in parts if part.seconds is not None]
    return Forecast(
        windows=sum(part.windows for part in parts),
        passes=max(part.passes for part in parts),
        memory_mb=max(part.memory_mb for part in parts) + extra_mb,
        device_memory_mb=max(cards) if cards else None,
        seconds=sum(times) if len(times) == len(parts) else None,
    )

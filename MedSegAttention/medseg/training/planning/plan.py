"""A plan: what is trained and how, with the reasons; a JSON file that can be read, changed and followed again."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from medseg.io.atomic import replacing
from medseg.spec.errors import FieldError, JobError, ManifestError
from medseg.spec.fields import read_record
from medseg.spec.manifest import IntTriple, ModelManifest
from medseg.training.planning.synthesis import Synthesis

TrainingPrecision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
_POLY_POWER = 0.9  # nnU-Net's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a run that is not in the manifest; a run is repeated by repeating this."""

    steps: int = 20_000
    batch: int = 2  # patches a step, on each device
    patch_shape: IntTriple | None = None  # voxels; None: the manifest's window
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3  # the highest
    weight_decay: float = 1e-2
    schedule: Literal["cosine", "poly"] = "cosine"
    warm_up: float = 0.03  # part of the run
    ema_decay: float = 0.998  # of the averaged weights, per step
    clip_norm: float = 5.0
    foreground: float = 1 / 3  # part of the patches whose centre is a labelled voxel, each label as often
    augment_on: Literal["auto", "batch", "patch"] = "auto"  # auto: whole batches on a CUDA card, else single patches
    precision: TrainingPrecision = "auto"  # auto: bfloat16 or float16 on a CUDA card, else float32
    teachers: tuple[str, ...] = ()  # ids or folders of models whose answers are learned besides the labels
    teacher_share: float = 0.5  # of the loss
    deep_supervision: bool = True  # where the network has side heads; they are not stored
    validations: int = 20  # times the averaged weights are scored during the run
    validation_cases: int = 8  # of the fold's, at most
    synthesis: Synthesis | None = None  # images are drawn from label maps; None: the data set's own are used
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers no run can have."""
        checks = (
            ("steps", self.steps >= 1, "an integer from 1"),
            ("batch", self.batch >= 1, "an integer from 1"),
            ("learning_rate", self.learning_rate > 0, "a positive number"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warm_up", 0 <= self.warm_up < 1, "a part 0..1 of the run"),
            ("ema_decay", 0 <= self.ema_decay < 1, "a number 0..1, below 1"),
            ("clip_norm", self.clip_norm > 0, "a positive number"),
            ("foreground", 0 <= self.foreground <= 1, "a part 0..1 of the patches"),
            ("teacher_share", 0 < self.teacher_share <= 1, "a part of the loss, above 0 and at most 1"),
            ("validations", self.validations >= 0, "0 or more"),
            ("patch_shape", self.patch_shape is None or min(self.patch_shape) >= 1, "three integers from 1"),
        )
        for name, fits, expected in checks:
            if not fits:
                msg = f"expected {expected}, got {getattr(self, name)!r}"
                raise ManifestError(msg, field=name)

    def rate(self, elapsed: float) -> float:
        """Learning rate when a part 0..1 of the run is over."""
        return self.learning_rate * schedule(elapsed, self.warm_up, self.schedule)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The model to be, the numbers of the run, and why they were chosen.

    Attributes:
        model: everything the bundle will say about itself, without scores.
        training: the numbers of the run.
        reasons: choice -> one sentence; empty for what the user chose.
    """

    model: ModelManifest
    training: Recipe
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse patches that show a network with norms of each image another part of it than inference will."""
        patch, window = self.training.patch_shape, self.model.window_shape
        if patch not in (None, window) and window_is_patch(self.model.arguments):
            msg = (
                f"expected the window {window}, as norm 'instance' makes a network depend on how much it sees, got "
                f"{patch}; change model.window_shape (--window) and leave training.patch_shape (--patch) out"
            )
            raise ManifestError(msg, field="training.patch_shape")

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Voxels of a training patch, without the neighbours that a slice-wise network sees."""
        return self.training.patch_shape or self.model.window_shape


def window_is_patch(arguments: Mapping[str, Any]) -> bool:
    """Whether a network normalises each image by itself, so that inference must see as much as training did."""
    return arguments.get("norm") == "instance"


def schedule(elapsed: float, warm_up: float, kind: Literal["cosine", "poly"] = "cosine") -> float:
    """Factor of the learning rate at ``elapsed`` in 0..1: linear warm-up, then half a cosine or a power down to 0."""
    if elapsed < warm_up:
        return (elapsed + 0.1 * warm_up) / (1.1 * warm_up)
    left = min(1.0, max(0.0, 1 - (elapsed - warm_up) / (1 - warm_up)))
    if kind == "poly":
        return float(left**_POLY_POWER)
    return 0.5 * (1 - math.cos(math.pi * left))


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan, in one step; a file that is there is replaced.

    Raises:
        JobError: when it cannot be written there.
    """
    text = json.dumps(dataclasses.asdict(plan), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        JobError: when the file is missing, not JSON, or a field is unknown, missing or impossible.
    """
    try:
        return read_record(Plan, json.loads(path.read_text(encoding="utf-8-sig")), "")
    except (OSError, ValueError, FieldError) as error:
        msg = f"{path} is not a plan ({error}); write one with: medseg train DATASET --dry-run"
        raise JobError(msg) from error


def override(plan: Plan, changes: Mapping[str, Any]) -> Plan:
    """Change values of a plan by their path.

    Args:
        plan: stays as it is.
        changes: e.g. ``{"training.batch": 4, "model.arguments.widths": "M"}``, JSON values. Parts that are not there
            yet may be named, e.g. ``model.slices.context`` needs ``model.slices``.

    Returns:
        The changed plan; reasons of what changed are dropped.

    Raises:
        JobError: when there is no such value or it cannot be so.
    """
    document = json.loads(json.dumps(dataclasses.asdict(plan)))
    for path, value in changes.items():
        _set(document, path.split("."), value, path)
        document["reasons"].pop(path, None)
    try:
        return read_record(Plan, document, "")
    except FieldError as error:
        msg = f"the plan cannot be changed so: {error}"
        raise JobError(msg) from error


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``path=value`` pairs; a value that is not JSON is text.

    Raises:
        JobError: when one has no "=".

    Example:
        >>> parse_changes(["training.batch=4", "model.arguments.widths=M"])
        {'training.batch': 4, 'model.arguments.widths': 'M'}
    """
    changes: dict[str, Any] = {}
    for text in texts:
        path, sign, value = text.partition("=")
        if not sign or not path.strip():
            msg = f"a change of the plan is PATH=VALUE, got {text!r}; write e.g. training.batch=4"
            raise JobError(msg)
        try:
            changes[path.strip()] = json.loads(value)
        except ValueError:
            changes[path.strip()] = value
    return changes


def describe_plan(plan: Plan) -> list[tuple[str, str, str]]:
    """Rows (what, value, why) for people."""
    model, training = plan.model, plan.training
    rows: list[tuple[str, Any]] = [
        ("model.network", model.network),
        *((f"model.arguments.{name}", value) for name, value in model.arguments.items()),
        ("model.spacing_mm", model.spacing_mm),
        ("model.window_shape", model.window_shape),
        ("model.slices", None if model.slices is None else dataclasses.asdict(model.slices)),
        ("model.intensity", {k: v for k, v in dataclasses.asdict(model.intensity).items() if v is not None}),
        ("model.mirror_axes", model.mirror_axes),
        *((f"training.{name}", value) for name, value in dataclasses.asdict(training).items() if name != "synthesis"),
        ("training.synthesis.ranges", training.synthesis and dataclasses.asdict(training.synthesis.ranges)),
    ]
    return [
        (name, json.dumps(_rounded(value)), plan.reasons.get(name, "")) for name, value in rows if value is not None
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def _set(document: dict[str, Any], path: Sequence[str], value: Any, shown: str) -> None:
    *above, last = path
    place: Any = document
    for name in above:
        place = place.get(name) if isinstance(place, dict) else None
    if not above or not isinstance(place, dict) or (last not in place and above != ["model", "arguments"]):
        known = ", ".join(f"{'.'.join([*above, name])}" for name in place) if above and isinstance(place, dict) else ""
        msg = f"the plan has no value {shown!r}; known: {known or 'model.*, training.*'}"
        raise JobError(msg)
    place[last] = value

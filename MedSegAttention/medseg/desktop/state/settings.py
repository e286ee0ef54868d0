"""What the panel's controls hold: one frozen record, saved with the scene; the volumes chosen are node references."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from medseg.spec.errors import FieldError, MedSegError
from medseg.spec.fields import read_record
from medseg.spec.job import EngineName, Options, Precision
from medseg.spec.manifest import PostprocessRule

Mirror: TypeAlias = Literal["model", "on", "off"]
Joining: TypeAlias = Literal["add", "overwrite", "overwrite_visible", "replace"]


@dataclass(frozen=True, kw_only=True)
class PanelSettings:
    """Every choice that is not a node; None and "model" mean what the model's manifest says."""

    model: str = ""  # id of a bundle; "": the first there is
    mode: Joining = "add"  # what happens to segments of a segmentation that is joined
    quick: bool = False  # a preview on voxels twice as large
    device: str = "auto"
    overlap: float | None = None  # 0..0.9
    mirror: Mirror = "model"
    precision: Precision = "float32"
    engine: EngineName = "auto"
    window_batch: int = 1
    own_postprocess: bool = False  # the three below instead of the model's
    keep_largest: bool = False
    min_island_mm3: float = 0.0
    fill_holes_mm3: float = 0.0
    probabilities: bool = False  # as volumes, too
    entropy: bool = False  # as a volume, too
    all_time_points: bool = False  # of the sequence that the volume belongs to

    def options(
        self,
        roi_ras_mm: tuple[float, float, float, float, float, float] | None = None,
        roi_voxels: tuple[int, int, int, int, int, int] | None = None,
    ) -> Options:
        """The part of a job that says how to run.

        Args:
            roi_ras_mm: R-, R+, A-, A+, S-, S+; None: the whole volume.
            roi_voxels: the same in voxels of the volume: i, i stop, j, j stop, k, k stop.

        Raises:
            JobError: if a value means nothing.
        """
        own = PostprocessRule(
            keep_largest=self.keep_largest, min_island_mm3=self.min_island_mm3, fill_holes_mm3=self.fill_holes_mm3
        )
        return Options(
            device=self.device,
            overlap=self.overlap,
            mirror=None if self.mirror == "model" else self.mirror == "on",
            window_batch=self.window_batch,
            precision=self.precision,
            engine=self.engine,
            roi_ras_mm=roi_ras_mm,
            roi_voxels=roi_voxels,
            postprocess=own if self.own_postprocess else None,
            spacing_factor=QUICK if self.quick else 1.0,
        )


DEFAULTS = PanelSettings()
QUICK = 2.0  # how many times larger the voxels of a preview are


def setting_texts(settings: PanelSettings) -> dict[str, str]:
    """Each field as JSON, the way a node keeps it."""
    return {name: json.dumps(value) for name, value in asdict(settings).items()}


def settings_from_texts(texts: dict[str, str]) -> PanelSettings:
    """Read them back; a text that means nothing (an old scene, an edited one) leaves that field at its default."""
    settings = DEFAULTS
    for field in fields(PanelSettings):
        if texts.get(field.name):
            settings = _with(settings, field.name, texts[field.name])
    return settings


def _with(settings: PanelSettings, name: str, text: str) -> PanelSettings:
    try:
        value: Any = json.loads(text)
        changed = read_record(PanelSettings, {**asdict(settings), name: value}, "settings")
        changed.options()
    except (ValueError, RecursionError, FieldError, MedSegError):
        return settings
    return changed


def changed(settings: PanelSettings, **values: Any) -> PanelSettings:
    """The settings with some values changed.

    Raises:
        JobError: if a value means nothing; the settings stay as they were.
    """
    after = replace(settings, **values)
    after.options()
    return after


PRECISIONS: tuple[str, ...] = get_args(Precision)

"""What the panel's controls hold: one frozen record, saved with the scene; the volumes chosen are node references."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from medseg.spec.errors import FieldError, MedSegError
from medseg.spec.fields import read_record
from medseg.spec.job import Bounds, Options, RunOptions, VoxelBounds
from medseg.spec.option import options_of
from medseg.spec.postprocess import PostprocessRule

Joining: TypeAlias = Literal["add", "overwrite", "overwrite_visible", "replace"]


@dataclass(frozen=True, kw_only=True)
class PanelSettings(RunOptions):
    """Every choice that is not a node; None means what the model's manifest says."""

    model: str = ""  # id of a bundle; "": the first there is
    mode: Joining = "add"  # what happens to segments of a segmentation that is joined
    own_postprocess: bool = False  # the three below instead of the model's
    keep_largest: bool = False
    min_island_mm3: float = 0.0
    fill_holes_mm3: float = 0.0
    probabilities: bool = False  # as volumes, too
    entropy: bool = False  # as a volume, too
    all_time_points: bool = False  # of the sequence that the volume belongs to

    def options(self, roi_ras_mm: Bounds | None = None, roi_voxels: VoxelBounds | None = None) -> Options:
        """The part of a job that says how to run.

        Args:
            roi_ras_mm: R-, R+, A-, A+, S-, S+; None: the whole volume.
            roi_voxels: the same in voxels of the volume: i, i stop, j, j stop, k, k stop.

        Raises:
            JobError: if a value means nothing.
        """
        own = PostprocessRule(**{name: getattr(self, name) for name in options_of(PostprocessRule)})
        return Options(
            **{name: getattr(self, name) for name in options_of(RunOptions)},
            roi_ras_mm=roi_ras_mm,
            roi_voxels=roi_voxels,
            postprocess=own if self.own_postprocess else None,
        )


DEFAULTS = PanelSettings()


def setting_texts(settings: PanelSettings) -> dict[str, str]:
    """Each field as JSON, the way a node keeps it."""
    return {name: json.dumps(value) for name, value in asdict(settings).items()}


def settings_from_texts(texts: dict[str, str]) -> PanelSettings:
    """Read them back; a text that means nothing (an old scene, an edited one) leaves that field at its default."""
    settings = DEFAULTS
    for field in fields(PanelSettings):
        if texts.get(field.name):
            try:
                value: Any = json.loads(texts[field.name])
                changed = read_record(PanelSettings, {**asdict(settings), field.name: value}, "settings")
                changed.options()
            except (ValueError, RecursionError, FieldError, MedSegError):
                continue
            settings = changed
    return settings


def changed(settings: PanelSettings, **values: Any) -> PanelSettings:
    """The settings with some values changed.

    Raises:
        JobError: if a value means nothing; the settings stay as they were.
    """
    after = replace(settings, **values)
    after.options()
    return after

"""Where in a larger image a model applies: boxes of a template that is registered to the patient.

A rough model that finds the place of a fine one would be another way to get the same boxes: ``template`` would then be
left out for its name, and what follows stay as it is.
"""

from dataclasses import dataclass
from math import isfinite

from medseg.spec.labels import LabelSpec, Triple, refuse, require_text

MOST_REFINES = 3


@dataclass(frozen=True, kw_only=True)
class BoxSpec:
    """A part of the template, and what the model's labels are called there."""

    name: str  # e.g. "left hippocampus"
    low_mm: Triple  # R, A, S in the template
    high_mm: Triple
    margin_mm: float = 0.0  # of the patient, on every side
    scales: bool = True  # whether it is as large as the patient's anatomy, or always as in the template
    mirror: bool = False  # whether the network is shown its mirror image
    labels: tuple[LabelSpec, ...] = ()  # one for each of the model's, in their order; none: the model's own
    volume_ml: tuple[float, float] | None = None  # of all its segments: less or more is no adult's

    def __post_init__(self) -> None:
        """Refuse a box without a name or an inside, and a range that is none."""
        require_text(name=self.name)
        if not all(low < high for low, high in zip(self.low_mm, self.high_mm, strict=True)):
            refuse("high_mm", f"more than low_mm, which is {list(self.low_mm)}", list(self.high_mm))
        if not (isfinite(self.margin_mm) and self.margin_mm >= 0):
            refuse("margin_mm", "a number from 0", self.margin_mm)
        if self.volume_ml is not None and not 0 <= self.volume_ml[0] < self.volume_ml[1]:
            refuse("volume_ml", "two numbers from 0, the lower first", list(self.volume_ml))


@dataclass(frozen=True, kw_only=True)
class PlacedBox:
    """A box in a patient, RAS mm: its middle, how long its edges are, and the directions of these (unit vectors)."""

    name: str
    centre_mm: Triple
    size_mm: Triple
    axis_i: Triple
    axis_j: Triple
    axis_k: Triple


@dataclass(frozen=True, kw_only=True)
class LocateRule:
    """How the place of a model is found in an image that shows more."""

    template: str  # its folder in ``templates``, beside the model's own files or beside all models
    boxes: tuple[BoxSpec, ...]
    crop_below_mm: float = 100.0  # an image of which every side is shorter was cropped by its user already
    contrast: str = ""  # "T1": white matter brighter than grey, grey than fluid; "": any
    slice_mm: float | None = None  # slices thicker than this were not in the training data
    asymmetry: float | None = None  # largest difference of two boxes' volumes that is believed, of their mean
    straighten_from_deg: float = 0.0  # a head turned by less is cut along the image's own axes, on its own voxels
    refine: int = 0  # how often the network looks again, in a box around what it found
    refine_margin_mm: float = 3.0  # of the patient, around what was found

    def __post_init__(self) -> None:
        """Refuse a rule without a template or a box, and numbers that mean nothing."""
        require_text(template=self.template)
        if any(part in self.template for part in "/\\") or self.template.startswith("."):
            refuse("template", "the name of a folder, not a path", self.template)
        names = [box.name for box in self.boxes]
        if not names or len(set(names)) < len(names):
            refuse("boxes", "at least one, with names that differ", names)
        if self.contrast not in ("", "T1"):
            refuse("contrast", "T1 or nothing", self.contrast)
        for name in ("crop_below_mm", "slice_mm", "asymmetry"):
            number = getattr(self, name)
            if number is not None and not 0 < number < float("inf"):
                refuse(name, "a number above 0", number)
        if not 0 <= self.straighten_from_deg <= 180:
            refuse("straighten_from_deg", "degrees from 0 to 180", self.straighten_from_deg)
        if not 0 <= self.refine <= MOST_REFINES:
            refuse("refine", f"a whole number from 0 to {MOST_REFINES}", self.refine)
        if not (isfinite(self.refine_margin_mm) and self.refine_margin_mm >= 0):
            refuse("refine_margin_mm", "a number from 0", self.refine_margin_mm)

    def check_labels(self, count: int) -> None:
        """Refuse boxes whose labels are not those of a model with so many, or are not numbered 1, 2, ... in all."""
        labels = [label for box in self.boxes for label in box.labels]
        if not labels:
            if len(self.boxes) > 1:
                refuse("locate.boxes", "labels of its own for each of several boxes", [box.name for box in self.boxes])
            return
        if any(len(box.labels) != count for box in self.boxes):
            refuse(
                "locate.boxes",
                f"{count} label(s) a box, one for each of the model's",
                [len(box.labels) for box in self.boxes],
            )
        if [label.value for label in labels] != list(range(1, len(labels) + 1)):
            refuse("locate.boxes", "labels with the values 1, 2, ... in order", [label.value for label in labels])
        names = [label.name for label in labels]
        if len(set(names)) < len(names):
            refuse("locate.boxes", "labels with names that differ", names)

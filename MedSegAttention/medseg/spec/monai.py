"""How a MONAI bundle prepares an image and brings its answer back, for models that were imported from one.

The steps are those of ``monai.transforms`` 1.4 to 1.6, by the names that MONAI gives them.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeAlias, get_args

from medseg.spec.labels import refuse

StepKind: TypeAlias = Literal["normalise", "scale", "range", "percentiles"]
Blend: TypeAlias = Literal["gaussian", "constant"]
Padding: TypeAlias = Literal["constant", "replicate", "reflect", "circular"]
Answers: TypeAlias = Literal["probabilities", "logits", "labels"]
Resizing: TypeAlias = Literal["no", "linear", "area"]

_NUMBERS: dict[str, tuple[str, ...]] = {  # what a kind needs, and what it may have
    "normalise": (),
    "scale": (),
    "range": ("lower", "upper"),
    "percentiles": ("lower", "upper"),
}
_MAY_HAVE: dict[str, tuple[str, ...]] = {
    "normalise": ("mean", "std"),
    "scale": ("low", "high"),
    "range": ("low", "high"),
    "percentiles": ("low", "high"),
}


@dataclass(frozen=True, kw_only=True)
class IntensityStep:
    """One change of the values of an image.

    ``normalise``: minus the mean, over the standard deviation, or minus ``mean`` over ``std`` where these are given;
    ``nonzero``: statistics of the voxels that are not 0, which alone are changed. ``scale``: the smallest and the
    largest value become ``low`` and ``high``. ``range``: ``lower..upper`` becomes ``low..high``. ``percentiles``: the
    same, ``lower`` and ``upper`` being percents of the image's values. Without ``low`` and ``high``: 0 and 1, and
    nothing is clipped.

    Attributes:
        by_channel: whether statistics are those of each channel, not of all of them together.
        clip: whether values beyond ``low..high`` are cut.
    """

    kind: StepKind
    lower: float | None = None
    upper: float | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    nonzero: bool = False
    by_channel: bool = False
    clip: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown kind, and numbers that are missing, superfluous or impossible."""
        if self.kind not in get_args(StepKind):
            refuse("kind", f"one of {', '.join(get_args(StepKind))}", self.kind)
        for name in ("lower", "upper", "low", "high", "mean", "std"):
            number = getattr(self, name)
            if number is None and name in _NUMBERS[self.kind]:
                refuse(name, f"a finite number for the step {self.kind!r}", number)
            known = name in _NUMBERS[self.kind] or name in _MAY_HAVE[self.kind]
            if number is not None and not (known and isfinite(number)):
                refuse(name, f"{'a finite number' if known else 'nothing'} for the step {self.kind!r}", number)
        self._check_pairs()

    def _check_pairs(self) -> None:
        if (self.low is None) != (self.high is None):
            refuse("high", "a number together with low, or neither", [self.low, self.high])
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            refuse("upper", f"more than lower, which is {self.lower}", self.upper)
        if self.kind == "percentiles" and not ((self.lower or 0) >= 0 and (self.upper or 0) <= 100):
            refuse("lower", "percents 0..100 with upper", [self.lower, self.upper])
        if self.std == 0:
            refuse("std", "a number that is not 0", self.std)


@dataclass(frozen=True, kw_only=True)
class ForegroundRule:
    """The box of what is above 0 in some channel, to which an image is cropped.

    Attributes:
        after: how many intensity steps come first.
        resampled: whether the image is resampled before it is cropped.
        margin: voxels that are kept around the box, as far as the image goes.
    """

    after: int
    resampled: bool = False
    margin: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers below 0."""
        if self.after < 0:
            refuse("after", "an integer from 0", self.after)
        if self.margin < 0:
            refuse("margin", "an integer from 0", self.margin)


@dataclass(frozen=True, kw_only=True)
class MonaiRule:
    """What takes the place of a manifest's intensity rule and of the package's own resampling and windows.

    Attributes:
        reorients: whether images are turned to the manifest's orientation; else their axes are taken as the file
            stores them.
        steps: changes of intensities, in order.
        resampled_after: how many of them come before the image is resampled.
        resize: whether and how an image is brought to the window's size, and its answer back; there is no spacing then.
        foreground: the box to which the image is cropped.
        blend: weights of the voxels of a window.
        padding: what an image that is smaller than a window is filled with; "constant" is 0.
        answers: what is brought back to the image's own grid: interpolated probabilities or logits, or labels.
        empty_channels: channels of zeros after the image's: where a person's clicks would be.
    """

    reorients: bool = True
    steps: tuple[IntensityStep, ...] = ()
    resampled_after: int = 0
    resize: Resizing = "no"
    foreground: ForegroundRule | None = None
    blend: Blend = "constant"
    padding: Padding = "constant"
    answers: Answers = "probabilities"
    empty_channels: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown words, and places that are none."""
        for name, known in (("blend", Blend), ("padding", Padding), ("answers", Answers), ("resize", Resizing)):
            if getattr(self, name) not in get_args(known):
                refuse(name, f"one of {', '.join(get_args(known))}", getattr(self, name))
        if not 0 <= self.resampled_after <= len(self.steps):
            refuse("resampled_after", f"a number of steps, 0..{len(self.steps)}", self.resampled_after)
        if self.empty_channels < 0:
            refuse("empty_channels", "an integer from 0", self.empty_channels)
        if self.foreground is not None:
            self._check_foreground(self.foreground)

    def _check_foreground(self, box: ForegroundRule) -> None:
        low, high = (self.resampled_after, len(self.steps)) if box.resampled else (0, self.resampled_after)
        if not low <= box.after <= high:
            side = "after" if box.resampled else "before"
            refuse("foreground", f"{low}..{high} steps, {side} the image is resampled", box.after)

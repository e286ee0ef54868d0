"""How nnU-Net v2 prepares an image and brings its answer back, for models that were trained with it.

Isensee et al., Nature Methods 18, 203-211, 2021; the steps are those of nnunetv2 2.8.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeAlias, get_args

from medseg.spec.labels import IntTriple, Triple, refuse

Scheme: TypeAlias = Literal["zscore", "ct", "unit", "rgb", "none"]


@dataclass(frozen=True, kw_only=True)
class NnunetChannel:
    """How one channel is normalised, before it is resampled.

    ``zscore``: by its own mean and standard deviation, over the whole cropped image, or, ``masked``, over the voxels
    that are not 0 in any channel and what they enclose, while the others stay as they are. ``ct``: clipped to
    ``lower..upper``, minus ``mean``, over ``std``. ``unit``: minus its smallest value, over the largest of what is
    left. ``rgb``: over 255.
    """

    scheme: Scheme
    masked: bool = False
    lower: float | None = None
    upper: float | None = None
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown scheme, and numbers that are missing or superfluous."""
        if self.scheme not in get_args(Scheme):
            refuse("scheme", f"one of {', '.join(get_args(Scheme))}", self.scheme)
        for name in ("lower", "upper", "mean", "std"):
            number = getattr(self, name)
            if (number is not None and isfinite(number)) != (self.scheme == "ct"):
                expected = "a finite number" if self.scheme == "ct" else "nothing"
                refuse(name, f"{expected} for the scheme {self.scheme!r}", number)
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            refuse("upper", f"at least lower, which is {self.lower}", self.upper)


@dataclass(frozen=True, kw_only=True)
class NnunetRule:
    """What takes the place of a manifest's orientation, intensity rule and resampling.

    Attributes:
        reorients: whether images are turned to RAS first; else their axes are taken as the file stores them, whatever
            directions they have.
        axes: image axis, 0 = i, that becomes the first, second and third of the network's.
        spacing_mm: of the network's axes; the first is 0 in a 2D model, whose slices keep their distance.
        channels: how each is normalised.
        previous_labels: of an earlier stage, which the network sees one-hot, after the channels.
        folds: networks whose logits over the whole image are averaged, each stitched and rounded by itself.
    """

    reorients: bool = False
    axes: IntTriple
    spacing_mm: Triple
    channels: tuple[NnunetChannel, ...]
    previous_labels: int = 0
    folds: int = 1

    def __post_init__(self) -> None:
        """Refuse axes that are no order, and sizes that are none."""
        if sorted(self.axes) != [0, 1, 2]:
            refuse("axes", "0, 1 and 2 in any order", list(self.axes))
        if not all(isfinite(mm) and mm >= 0 for mm in self.spacing_mm) or 0 in self.spacing_mm[1:]:
            refuse("spacing_mm", "three positive numbers, the first 0 in a 2D model", list(self.spacing_mm))
        if self.previous_labels < 0:
            refuse("previous_labels", "a whole number from 0", self.previous_labels)
        if self.folds < 1:
            refuse("folds", "a whole number from 1", self.folds)

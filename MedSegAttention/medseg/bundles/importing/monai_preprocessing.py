"""A MONAI bundle's list of transforms, read as the fields of a manifest; what has no field is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.bundles.importing.monai_intensity import INTENSITY_STEPS, UnknownStep, read_intensity
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import Triple, is_orientation
from medseg.spec.monai import ForegroundRule, IntensityStep, MonaiRule, Resizing

_NO_EFFECT = frozenset({
    "AddChannel", "AsChannelFirst", "CastToType", "DeleteItems", "EnsureChannelFirst", "EnsureType", "Identity",
    "LoadImage", "SelectItems", "ToDevice", "ToTensor",
})  # fmt: skip
_PADDING = frozenset({"SpatialPad", "DivisiblePad", "BorderPad"})
_GRID = frozenset({
    "CenterSpatialCrop", "Flip", "ResampleToMatch", "ResizeWithPadOrCrop", "Rotate", "Rotate90",
    "SpatialCrop", "SpatialResample", "Transpose", "Zoom",
})  # fmt: skip
_CLICKS = frozenset({
    "AddGuidanceFromPointsDeepEdit", "OrientationGuidanceMultipleLabelDeepEdit", "ResizeGuidanceMultipleLabelDeepEdit",
})  # fmt: skip
_RESIZING: dict[str, Resizing] = {"area": "area", "linear": "linear", "bilinear": "linear", "trilinear": "linear"}


Flag = Literal["intensity", "spacing", "orientation"]


@dataclass
class Preparation:
    """What happens to an image before the network; filled step by step."""

    orientation: str | None = None
    spacing_mm: Triple | None = None
    resize: Resizing = "no"
    size: tuple[int, ...] | None = None  # to which images are resized
    steps: list[IntensityStep] = field(default_factory=list)
    resampled_after: int | None = None  # steps before the image is resampled; None: it is not
    foreground: ForegroundRule | None = None
    channel_names: tuple[str, ...] | None = None  # where several images become channels of one
    empty_channels: int = 0
    notes: list[str] = field(default_factory=list)
    unread: list[tuple[Flag, str]] = field(default_factory=list)  # steps not understood, and the flag that helps

    def rule(self) -> MonaiRule:
        """What was found, without what comes after the preparation."""
        found = self.foreground
        if found is not None and self.resampled_after is None:
            found = replace(found, resampled=False)
        return MonaiRule(
            reorients=self.orientation is not None,
            steps=tuple(self.steps),
            resampled_after=len(self.steps) if self.resampled_after is None else self.resampled_after,
            resize=self.resize,
            foreground=found,
            empty_channels=self.empty_channels,
        )


def read_preprocessing(config: Config, name: str) -> Preparation:
    """Read the transforms under a name of the configuration.

    Args:
        config: the bundle's.
        name: of the list, or of a ``Compose`` that holds it, e.g. "preprocessing".

    Raises:
        ManifestError: for a step that changes the grid in a way a manifest has no field for.
    """
    found = Preparation()
    for place, step in transforms(config, name):
        _read_step(found, config, place, step)
    return found


def transforms(config: Config, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The steps under a name, with the place of each; those marked as disabled are left out.

    Raises:
        ManifestError: when there is no list of steps.
    """
    steps = config.joined(config.content.get(name), name)
    if isinstance(steps, dict):
        steps = config.joined(steps.get("transforms"), f"{name}.transforms")
    if not isinstance(steps, list):
        msg = f"{config.path}: {name}: expected a list of transforms, got {str(steps)[:80]!r}; write it there"
        raise NotALiteral(msg)
    placed = [(f"{name}.transforms[{n}]", config.follow(step, name)) for n, step in enumerate(steps)]
    for place, step in placed:
        if not isinstance(step, dict) or not isinstance(step.get("_target_"), str):
            msg = f"{config.path}: {place}: expected an object with a _target_, got {str(step)[:80]!r}"
            raise ManifestError(msg)
    return [(place, step) for place, step in placed if not config.resolve(step.get("_disabled_", False), place)]


def base_name(step: Mapping[str, Any]) -> str:
    """A transform's name without its module and without the ending of the dictionary form."""
    name = str(step["_target_"]).rpartition(".")[2]
    for ending in ("Dict", "D", "d"):
        if name.endswith(ending) and (short := name.removesuffix(ending)) in _KNOWN:
            return short
    return name


def _read_step(found: Preparation, config: Config, place: str, step: Mapping[str, Any]) -> None:
    name = base_name(step)
    if name in _GRID:
        msg = f"{config.path}: {place}: {name} changes the voxel grid in a way medseg has no field for; remove the step"
        raise ManifestError(msg)
    if name in _PADDING:
        found.notes.append(f"{name} is left out: windows that reach beyond the image are filled with 0")
    elif name in _CLICKS:
        found.notes.append(f"{name} is left out: the model is run without clicks")
    elif name in _READERS:
        try:
            _READERS[name](found, lambda key, default=None: config.resolve(step.get(key, default), f"{place}.{key}"))
        except (NotALiteral, _Unusual) as error:
            found.unread.append((_FLAGS.get(name, "intensity"), f"{place}: {name} ({error})"))
        except ManifestError as error:
            msg = f"{config.path}: {place}: {error}"
            raise ManifestError(msg) from error
    elif name in INTENSITY_STEPS:
        _read_intensity(found, config, place, step)
    elif name not in _NO_EFFECT:
        found.unread.append(("intensity", f"{place}: {step['_target_']}"))


def _read_intensity(found: Preparation, config: Config, place: str, step: Mapping[str, Any]) -> None:
    name = base_name(step)
    left_out = ("_target_", "_disabled_", "keys", "dtype", "allow_missing_keys")
    arguments = {key: value for key, value in step.items() if key not in left_out}
    try:
        found.steps.append(read_intensity(name, config.resolve(arguments, place)))
    except (NotALiteral, UnknownStep) as error:
        found.unread.append(("intensity", f"{place}: {name} ({error})"))


Argument = Callable[..., Any]


class _Unusual(ValueError):
    """An argument with a value that nothing here computes as MONAI does."""


def _require(argument: Argument, **usual: object) -> None:
    """Refuse arguments other than the usual ones; a list of one stands for its entry."""
    for name, value in usual.items():
        given = argument(name, value)
        given = given[0] if isinstance(given, list) and len(given) == 1 else given
        if given != value:
            msg = f"{name} {given!r}"
            raise _Unusual(msg)


def _orientation(found: Preparation, argument: Argument) -> None:
    letters = argument("axcodes")
    if not isinstance(letters, str) or not is_orientation(letters):
        msg = f"Orientation with axcodes {letters!r} is not one of three letters; write e.g. RAS"
        raise ManifestError(msg)
    found.orientation = letters
    if found.spacing_mm is not None:
        found.spacing_mm = None
        found.unread.append(("spacing", "Orientation after Spacing"))


def _spacing(found: Preparation, argument: Argument) -> None:
    pixdim = argument("pixdim")
    sizes = [pixdim] * 3 if isinstance(pixdim, int | float) else pixdim
    if not isinstance(sizes, list) or len(sizes) != 3 or not all(_is_size(size) for size in sizes):
        msg = f"pixdim {pixdim!r}"
        raise _Unusual(msg)
    _require(argument, mode="bilinear", padding_mode="border", align_corners=False, scale_extent=False, diagonal=False)
    _require_once(found)
    i, j, k = (float(size) for size in sizes)
    found.spacing_mm = i, j, k
    found.resampled_after = len(found.steps)


def _resize(found: Preparation, argument: Argument) -> None:
    size = argument("spatial_size")
    if not isinstance(size, list) or len(size) not in (2, 3) or not all(_is_size(n) and int(n) == n for n in size):
        msg = f"Resize with spatial_size {size!r} is not to a fixed number of voxels; write it, or remove the step"
        raise ManifestError(msg)
    mode = argument("mode", "area")
    mode = mode[0] if isinstance(mode, list) and len(mode) == 1 else mode
    if mode not in _RESIZING:
        msg = f"Resize with mode {mode!r} is not one of {', '.join(_RESIZING)}"
        raise ManifestError(msg)
    try:
        _require(argument, size_mode="all", align_corners=None, anti_aliasing=False)
        _require_once(found)
    except _Unusual as error:
        msg = f"Resize ({error}) is not imported; remove the step"
        raise ManifestError(msg) from error
    found.resize, found.size = _RESIZING[mode], tuple(int(n) for n in size)
    found.resampled_after = len(found.steps)


def _require_once(found: Preparation) -> None:
    if found.resampled_after is not None:
        msg = "the image is resampled a second time"
        raise _Unusual(msg)


def _is_size(size: object) -> bool:
    return isinstance(size, int | float) and not isinstance(size, bool) and size > 0


def _crop(found: Preparation, argument: Argument) -> None:
    margin = argument("margin", 0)
    margin = margin[0] if isinstance(margin, list) and len(set(margin)) == 1 else margin
    if not isinstance(margin, int) or isinstance(margin, bool) or margin < 0:
        msg = f"margin {margin!r}"
        raise _Unusual(msg)
    _require(argument, select_fn=None, channel_indices=None, k_divisible=1)
    if margin and not argument("allow_smaller", False):
        msg = "a margin that may lie outside the image: allow_smaller is false"
        raise _Unusual(msg)
    if found.foreground is not None:
        msg = "a second crop"
        raise _Unusual(msg)
    resampled = found.resampled_after is not None
    found.foreground = ForegroundRule(after=len(found.steps), resampled=resampled, margin=margin)


def _channels(found: Preparation, argument: Argument) -> None:
    names = argument("keys_merge") or argument("keys")
    if not isinstance(names, list) or len(names) != len(set(names)) or not all(isinstance(name, str) for name in names):
        msg = f"images {names!r}"
        raise _Unusual(msg)
    _require(argument, dim=0)
    if any(not step.by_channel and step.kind != "range" for step in found.steps):
        msg = "after statistics of each image by itself"
        raise _Unusual(msg)
    found.channel_names = tuple(names)


def _clicks(found: Preparation, argument: Argument) -> None:
    channels = argument("number_intensity_ch", 1)
    if channels != 1:
        msg = f"number_intensity_ch {channels!r}"
        raise _Unusual(msg)
    found.empty_channels = -1  # as many as labels, whose names stand elsewhere


_READERS: dict[str, Callable[[Preparation, Argument], None]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "Resize": _resize,
    "CropForeground": _crop,
    "ConcatImages": _channels,
    "ConcatItems": _channels,
    "AddGuidanceSignalDeepEdit": _clicks,
}
_FLAGS: dict[str, Flag] = {"Spacing": "spacing", "Orientation": "orientation"}
_AFTERWARDS = frozenset({
    "Activations", "AsDiscrete", "FillHoles", "Invert", "KeepLargestConnectedComponent", "Lambda", "MergeClasses",
    "RemoveSmallObjects", "SaveImage",
})  # fmt: skip
_KNOWN = _NO_EFFECT | _PADDING | _GRID | _CLICKS | INTENSITY_STEPS | _AFTERWARDS | frozenset(_READERS)

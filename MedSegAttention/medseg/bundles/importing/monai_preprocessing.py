"""A MONAI bundle's list of transforms, read as the fields of a manifest; what has no field is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.bundles.importing.monai_intensity import INTENSITY_STEPS, UnknownRule, read_rule
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntensityRule, Triple, is_orientation

_NO_EFFECT = frozenset({
    "AddChannel", "AsChannelFirst", "CastToType", "DeleteItems", "EnsureChannelFirst", "EnsureType", "Identity",
    "LoadImage", "SelectItems", "ToDevice", "ToTensor",
})  # fmt: skip
_PADDING = frozenset({"SpatialPad", "DivisiblePad", "BorderPad"})
_GRID = frozenset({
    "CenterSpatialCrop", "Flip", "ResampleToMatch", "Resize", "ResizeWithPadOrCrop", "Rotate", "Rotate90",
    "SpatialCrop", "SpatialResample", "Transpose", "Zoom",
})  # fmt: skip


Flag = Literal["intensity", "spacing", "orientation"]


@dataclass
class Preparation:
    """What happens to an image before the network; filled step by step."""

    channel_count: int
    orientation: str | None = None
    spacing_mm: Triple | None = None
    intensity: IntensityRule | None = None
    crop_to_body: bool = False
    notes: list[str] = field(default_factory=list)
    unread: list[tuple[Flag, str]] = field(default_factory=list)  # steps not understood, and the flag that helps


def read_preprocessing(config: Config, name: str, channel_count: int) -> Preparation:
    """Read the transforms under a name of the configuration.

    Args:
        config: the bundle's.
        name: of the list, or of a ``Compose`` that holds it, e.g. "preprocessing".
        channel_count: of the network's input.

    Raises:
        ManifestError: for a step that changes the grid in a way a manifest has no field for.
    """
    found = Preparation(channel_count)
    for place, step in transforms(config, name):
        _read_step(found, config, place, step)
    return found


def transforms(config: Config, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The steps under a name, with the place of each; those marked as disabled are left out.

    Raises:
        ManifestError: when there is no list of steps.
    """
    steps = config.follow(config.content.get(name), name)
    if isinstance(steps, dict):
        steps = config.follow(steps.get("transforms"), f"{name}.transforms")
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
    elif name in _READERS:
        try:
            _READERS[name](found, lambda key, default=None: config.resolve(step.get(key, default), f"{place}.{key}"))
        except NotALiteral as error:
            found.unread.append((_FLAGS.get(name, "intensity"), f"{name} ({error})"))
    elif name in INTENSITY_STEPS:
        _read_intensity(found, config, place, step)
    elif name not in _NO_EFFECT:
        found.unread.append(("intensity", str(step["_target_"])))


def _read_intensity(found: Preparation, config: Config, place: str, step: Mapping[str, Any]) -> None:
    name = base_name(step)
    arguments = {key: value for key, value in step.items() if key not in ("_target_", "_disabled_", "keys", "dtype")}
    try:
        rule = read_rule(name, config.resolve(arguments, place), found.channel_count)
    except (NotALiteral, UnknownRule) as error:
        found.unread.append(("intensity", f"{name} ({error})"))
        return
    if found.intensity is not None:
        found.unread.append(("intensity", f"{name} (a second change of intensities)"))
        return
    found.intensity = rule


Argument = Callable[..., Any]


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
        found.unread.append(("spacing", f"Spacing (pixdim {pixdim!r})"))
        return
    i, j, k = (float(size) for size in sizes)
    found.spacing_mm = i, j, k
    if found.intensity is not None:
        found.notes.append("intensities are changed after resampling, not before as in the bundle")


def _is_size(size: object) -> bool:
    return isinstance(size, int | float) and not isinstance(size, bool) and size > 0


def _crop(found: Preparation, _: Argument) -> None:
    found.crop_to_body = True
    found.notes.append("CropForeground becomes a crop to the body, whose box is found in another way")


_READERS: dict[str, Callable[[Preparation, Argument], None]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "CropForeground": _crop,
}
_FLAGS: dict[str, Flag] = {"Spacing": "spacing", "Orientation": "orientation"}
_AFTERWARDS = frozenset({
    "Activations", "AsDiscrete", "FillHoles", "Invert", "KeepLargestConnectedComponent", "RemoveSmallObjects",
    "SaveImage",
})  # fmt: skip
_KNOWN = _NO_EFFECT | _PADDING | _GRID | INTENSITY_STEPS | _AFTERWARDS | frozenset(_READERS)

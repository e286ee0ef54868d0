"""How a MONAI bundle runs its network and what it does with the answer, as fields of a manifest."""

from collections.abc import Mapping
from typing import Any

from medseg.bundles.importing.choices import as_window
from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.bundles.importing.monai_preprocessing import base_name, transforms
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntTriple, SliceRule
from medseg.spec.postprocess import PostprocessRule

_LARGEST_OVERLAP = 0.9
_DEFAULT_OVERLAP = 0.25  # MONAI's
_UNIMPORTANT = frozenset({
    "Activations", "AsDiscrete", "CastToType", "DeleteItems", "EnsureChannelFirst", "EnsureType", "Identity", "Invert",
    "SaveImage", "SelectItems", "ToDevice", "ToTensor",
})  # fmt: skip


def read_windows(
    config: Config, stated: Mapping[str, Any], chosen: IntTriple | None, slices: SliceRule | None, notes: list[str]
) -> tuple[IntTriple, float]:
    """Find the size of a window and its overlap.

    Args:
        config: the bundle's.
        stated: the bundle's metadata.
        chosen: a size that is taken instead.
        slices: of a 2D network, whose sizes are two numbers.
        notes: receives what is assumed.

    Raises:
        ManifestError: when no size is found.
    """
    inferer = config.follow(config.content.get("inferer"), "inferer") or {}
    inferer = inferer if isinstance(inferer, dict) else {}

    def argument(name: str, default: Any) -> Any:
        try:
            return config.resolve(inferer.get(name, default), f"inferer.{name}")
        except NotALiteral as error:
            notes.append(f"not understood, {default} is taken: {error}")
            return default

    if "SlidingWindow" not in str(inferer.get("_target_", "")):
        notes.append("the bundle runs its network without sliding windows; medseg slides the window it states")
    elif argument("mode", "constant") != "gaussian":
        notes.append("windows are blended with Gaussian weights, not with equal ones as in the bundle")
    overlap = argument("overlap", _DEFAULT_OVERLAP)
    if isinstance(overlap, list) and overlap and all(isinstance(share, int | float) for share in overlap):
        overlap = max(overlap)
    if not isinstance(overlap, int | float) or not 0 <= overlap <= _LARGEST_OVERLAP:
        notes.append(f"an overlap of {overlap!r} becomes {_LARGEST_OVERLAP}, the largest there is")
        overlap = _LARGEST_OVERLAP
    window = chosen or _shape(argument("roi_size", None), slices) or _shape(_stated_shape(stated), slices)
    if window is None:
        msg = f"{config.path}: inferer.roi_size: no size is found; give the window with --window"
        raise ManifestError(msg)
    return window, float(overlap)


def read_postprocessing(config: Config, label_count: int, notes: list[str]) -> PostprocessRule:
    """Find what is done with the labels.

    Args:
        config: the bundle's.
        label_count: of the segments, without the background.
        notes: receives what is left out.

    Raises:
        ManifestError: when the outputs overlap (a sigmoid), which a labelmap cannot hold.
    """
    try:
        steps = transforms(config, "postprocessing") if "postprocessing" in config else []
    except NotALiteral as error:
        notes.append(f"the postprocessing is left out: {error}")
        return PostprocessRule()
    keep_largest = False
    for place, step in steps:
        name = base_name(step)
        if step.get("sigmoid") or (name == "AsDiscrete" and "threshold" in step and not step.get("argmax")):
            msg = f"{config.path}: {place}: outputs that overlap (a sigmoid or threshold each) are not imported"
            raise ManifestError(msg)
        if name == "KeepLargestConnectedComponent" and _means_all(step.get("applied_labels"), label_count):
            keep_largest = True
        elif name not in _UNIMPORTANT:
            notes.append(f"the step {step['_target_']} after the network is left out")
    return PostprocessRule(keep_largest=keep_largest)


def _means_all(labels: object, label_count: int) -> bool:
    listed = labels if isinstance(labels, list) else [labels]
    return labels is None or {label for label in listed if label != 0} == set(range(1, label_count + 1))


def _stated_shape(stated: Mapping[str, Any]) -> Any:
    try:
        return stated["network_data_format"]["inputs"]["image"]["spatial_shape"]
    except (KeyError, TypeError):
        return None


def _shape(sizes: Any, slices: SliceRule | None) -> IntTriple | None:
    axes = 3 if slices is None else 2
    sizes = [sizes] * axes if isinstance(sizes, int) and not isinstance(sizes, bool) else sizes
    if not isinstance(sizes, list) or len(sizes) != axes:
        return None
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
        return None
    return as_window(sizes, slices)

"""How a MONAI bundle runs its network and what it does with the answer, as fields of a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from medseg.bundles.importing.choices import as_window
from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.bundles.importing.monai_overlap import Overlap, is_threshold, merged_classes, where_chain
from medseg.bundles.importing.monai_preprocessing import base_name, transforms
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntTriple, SliceRule
from medseg.spec.monai import Answers, Blend, Padding
from medseg.spec.postprocess import PostprocessRule

_LARGEST_OVERLAP = 0.9
_DEFAULT_OVERLAP = 0.25  # MONAI's
_DEFAULT_SIGMA = 0.125
_UNIMPORTANT = frozenset({
    "Activations", "AsDiscrete", "CastToType", "DeleteItems", "EnsureChannelFirst", "EnsureType", "Identity", "Invert",
    "SaveImage", "SelectItems", "ToDevice", "ToTensor",
})  # fmt: skip
_MERGES = frozenset({"Lambda", "MergeClasses"})


@dataclass(frozen=True)
class Windows:
    """How the network goes over an image."""

    shape: IntTriple
    overlap: float = _DEFAULT_OVERLAP
    blend: Blend = "constant"
    padding: Padding = "constant"


@dataclass(frozen=True)
class Inferer:
    """The object under ``inferer``, argument by argument.

    Args:
        config: the bundle's.
        notes: receives what is not understood.
    """

    config: Config
    notes: list[str]

    @property
    def name(self) -> str:
        """The class without its module; empty where there is none."""
        return str(self._stated.get("_target_", "")).rpartition(".")[2]

    @property
    def _stated(self) -> Mapping[str, Any]:
        found = self.config.follow(self.config.content.get("inferer"), "inferer")
        return found if isinstance(found, dict) else {}

    def argument(self, name: str, default: Any) -> Any:
        """The value of an argument; the default where it is an expression that is not worked out."""
        try:
            return self.config.resolve(self._stated.get(name, default), f"inferer.{name}")
        except NotALiteral as error:
            self.notes.append(f"not understood, {default} is taken: {error}")
            return default

    def slice_axis(self) -> int:
        """Axis across which a 2D network reads slices of the array; of images of one slice the last."""
        axis = self.argument("spatial_dim", 0) if self.name == "SliceInferer" else 2
        if axis not in (0, 1, 2):
            msg = f"{self.config.path}: inferer.spatial_dim: expected 0, 1 or 2, got {axis!r}"
            raise ManifestError(msg)
        return int(axis)


def read_windows(
    inferer: Inferer,
    stated: Mapping[str, Any],
    chosen: IntTriple | None,
    slices: SliceRule | None,
    resized: tuple[int, ...] | None,
) -> Windows:
    """Find the windows.

    Args:
        inferer: the bundle's.
        stated: the bundle's metadata.
        chosen: a size that is taken instead.
        slices: of a 2D network, whose sizes are two numbers.
        resized: voxels to which every image is resized; None: images keep their size.

    Raises:
        ManifestError: when no size is found, or one beside that of the resized images.
    """
    config, notes = inferer.config, inferer.notes
    slides = inferer.name.startswith("SlidingWindow") or inferer.name == "SliceInferer"
    found = None if resized is None else _shape(list(resized), slices)
    if found is None:
        if not slides:
            notes.append("the bundle runs its network without sliding windows; medseg slides the window it states")
        found = chosen or _shape(inferer.argument("roi_size", None), slices) or _shape(_stated_shape(stated), slices)
    elif chosen not in (None, found) or (slides and _shape(inferer.argument("roi_size", None), slices) != found):
        msg = f"{config.path}: inferer.roi_size: images are resized to {found}, and no other window is imported"
        raise ManifestError(msg)
    if found is None:
        msg = f"{config.path}: inferer.roi_size: no size is found; give the window with --window"
        raise ManifestError(msg)
    if not slides:
        return Windows(found)
    blend, padding = inferer.argument("mode", "constant"), inferer.argument("padding_mode", "constant")
    for name, value, known in (("mode", blend, Blend), ("padding_mode", padding, Padding)):
        if value not in get_args(known):
            msg = f"{config.path}: inferer.{name}: expected one of {', '.join(get_args(known))}, got {value!r}"
            raise ManifestError(msg)
    for name, usual in (("sigma_scale", _DEFAULT_SIGMA), ("cval", 0.0)):
        if (value := inferer.argument(name, usual)) != usual:
            notes.append(f"inferer.{name} is {usual:g}, not {value!r} as in the bundle")
    return Windows(found, _overlap(inferer), blend, padding)


def _overlap(inferer: Inferer) -> float:
    overlap = inferer.argument("overlap", _DEFAULT_OVERLAP)
    if isinstance(overlap, list) and overlap and all(isinstance(share, int | float) for share in overlap):
        overlap = max(overlap)
    if not isinstance(overlap, int | float) or not 0 <= overlap <= _LARGEST_OVERLAP:
        inferer.notes.append(f"an overlap of {overlap!r} becomes {_LARGEST_OVERLAP}, the largest there is")
        overlap = _LARGEST_OVERLAP
    return float(overlap)


@dataclass(frozen=True)
class Afterwards:
    """What happens to a network's outputs.

    Attributes:
        answers: what is brought back to the image's grid.
        overlap: how outputs become labels where each has a threshold of its own.
        kept_largest: for each step that keeps the largest component, the labels it applies to.
    """

    answers: Answers = "probabilities"
    overlap: Overlap | None = None
    kept_largest: tuple[object, ...] = ()

    def rule(self, label_count: int, notes: list[str]) -> PostprocessRule:
        """What is done with the labels, of which there are so many without the background."""
        whole = [_means_all(labels, label_count) for labels in self.kept_largest]
        if not all(whole):
            notes.append("the step KeepLargestConnectedComponent is left out: it applies to some of the labels alone")
        return PostprocessRule(keep_largest=any(whole))


def read_postprocessing(config: Config, outputs: int, notes: list[str]) -> Afterwards:
    """Find what happens to the network's outputs.

    Args:
        config: the bundle's.
        outputs: of the network; 0 where that is not known.
        notes: receives what is left out.

    Raises:
        ManifestError: when outputs overlap in a way that is not known.
    """
    try:
        steps = transforms(config, "postprocessing") if "postprocessing" in config else []
    except NotALiteral as error:
        notes.append(f"the postprocessing is left out: {error}")
        return Afterwards()
    overlap = _read_overlap(config, steps, outputs)
    kept = []
    for _, step in steps:
        name = base_name(step)
        if name == "KeepLargestConnectedComponent":
            kept.append(step.get("applied_labels"))
        elif name not in _UNIMPORTANT and (overlap is None or name not in _MERGES):
            notes.append(f"the step {step['_target_']} after the network is left out")
    return Afterwards(_answers([step for _, step in steps], notes), overlap, tuple(kept))


def _read_overlap(config: Config, steps: list[tuple[str, Mapping[str, Any]]], outputs: int) -> Overlap | None:
    """How outputs that may overlap become labels; None where the largest is taken."""
    found: Overlap | None = None
    sigmoid = ""
    for place, step in steps:
        name = base_name(step)
        sigmoid = place if step.get("sigmoid") else sigmoid
        if name == "AsDiscrete" and is_threshold(step):
            threshold = config.resolve(step["threshold"], f"{place}.threshold")
            if not sigmoid or not isinstance(threshold, int | float) or not 0 < threshold < 1:
                msg = (
                    f"{config.path}: {place}: a threshold of {threshold!r} is imported after a sigmoid, between 0 and 1"
                )
                raise ManifestError(msg)
            found = Overlap(float(threshold))
        elif name == "Lambda" and found is not None:
            painted = where_chain(step.get("func"))
            if painted is None or sorted(output for output, _ in painted) != list(range(outputs)):
                msg = f"{config.path}: {place}: how {outputs} outputs become labels here is not understood"
                raise ManifestError(msg)
            found = Overlap(found.threshold, painted)
        elif name == "MergeClasses" and found is not None:
            found = Overlap(found.threshold, merged_classes(outputs), first=1)
    if sigmoid and found is None:
        msg = f"{config.path}: {sigmoid}: outputs with a sigmoid each, but without a threshold, are not imported"
        raise ManifestError(msg)
    return found


def _answers(steps: list[Mapping[str, Any]], notes: list[str]) -> Answers:
    """What is brought back: what there is when the preprocessing is undone."""
    names = [base_name(step) for step in steps]
    if "Invert" not in names:
        return "probabilities"
    place = names.index("Invert")
    before = list(zip(names[:place], steps, strict=False))
    if any(name == "AsDiscrete" and (step.get("argmax") or is_threshold(step)) for name, step in before):
        if not steps[place].get("nearest_interp", True):
            notes.append("the nearest labels are taken, where the bundle interpolates between the labels' numbers")
        return "labels"
    done = any(name == "Activations" and (step.get("softmax") or step.get("sigmoid")) for name, step in before)
    return "probabilities" if done else "logits"


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

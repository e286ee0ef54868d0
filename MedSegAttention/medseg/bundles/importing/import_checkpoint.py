"""A checkpoint of a training program becomes a bundle: recognised, renamed, every weight checked, one window tried."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medseg.bundles.build import build_any, label_argument
from medseg.bundles.importing.checkpoint import read_state
from medseg.bundles.importing.choices import Choices, Imported, as_window, default_slices
from medseg.bundles.importing.nnunet_plans import Plans, read_plans
from medseg.bundles.importing.put_in_place import Watch, ignore_stage, put_in_place
from medseg.bundles.monai_networks import PREFIX
from medseg.bundles.official.layouts import LAYOUTS
from medseg.bundles.official.recognise import Recognised, recognise
from medseg.bundles.weights import fill_network
from medseg.spec.errors import ManifestError, MissingDependency, WeightsError
from medseg.spec.fields import listed
from medseg.spec.manifest import ChannelSpec, IntTriple, ModelManifest, SliceRule

_PUBLISHED_CHANNELS = 3  # what 2D codes repeat one channel to
_ONLY_2D = frozenset({"dlka_net_2d"})
_SIZE_ARGUMENTS = ("input_shape", "image_size", "img_size")
_REPEATING = frozenset({"dlka_net_2d", "mslau_net", "ultralight_unet"})  # networks with the argument input_repeats


@dataclass(frozen=True)
class _Source:
    """Weights under the names of a network of ours, and what builds it."""

    network: str
    arguments: dict[str, Any]
    state: Mapping[str, Tensor]
    title: str
    undecided: tuple[str, ...]


def import_checkpoint(
    path: Path,
    output: Path,
    choices: Choices,
    *,
    network: str,
    arguments: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    watch: Watch = ignore_stage,
) -> Imported:
    """Import a checkpoint: nothing in it is run, and nothing is written before every weight fits.

    Args:
        path: safetensors, a file of ``torch.save`` or a pickle of arrays; nnU-Net v1 plans beside it are read too.
        output: folder of the new bundle.
        choices: labels must be among them; intensity too, where no plans say it.
        network: key of ``NETWORKS``, or one of MONAI's with ``monai:``.
        arguments: of the network, for what the shapes do not tell; needed for weights under our own or MONAI's names.
        overwrite: replace a folder that is there.
        watch: hears what is about to be done.

    Raises:
        WeightsError: when the file would run code, is not recognised, holds an encoder alone, or does not fit.
        ManifestError: when labels, channels or window do not go with the network, or something is left open.
        MissingDependency: when the network needs a package that is not installed.
        OutputExists: as ``write_bundle`` raises it.
    """
    if choices.labels is None:
        msg = "a checkpoint does not name its labels; give them with --labels, in the order of the network's outputs"
        raise ManifestError(msg)
    watch("open")
    plans = read_plans(path)
    source = _source(path, network, dict(arguments or {}))
    notes: list[str] = []
    source = _with_background(_with_channels(source, choices, plans, notes), notes)
    source = _with_size(source, choices.window_shape or (plans.window_shape if plans else None), choices)
    manifest = _manifest(path, source, choices, plans, notes)
    built = fill_network(_build(source), source.state, path.name)
    return put_in_place(path, "weights", output, manifest, built, notes, overwrite=overwrite, watch=watch)


def _source(path: Path, network: str, arguments: dict[str, Any]) -> _Source:
    state = {key.removeprefix("module."): value for key, value in read_state(path).items()}
    try:
        found = None if network.startswith(PREFIX) else recognise({key: value.shape for key, value in state.items()})
    except ImportError as error:
        raise MissingDependency(str(error)) from error
    except ValueError as error:
        if not arguments:
            msg = f"{path.name}: {error}; weights under medseg's own names need the network's --arguments"
            raise WeightsError(msg) from error
        found = None
    if found is None:
        return _Source(network, arguments, state, network, ())
    _require_whole(found, path, network)
    layout = next(layout for layout in LAYOUTS if layout.name == found.layout)
    ours = {key: value for key, value in layout.from_official(state).items() if not key.startswith("side_heads.")}
    known = {key: value for key, value in found.arguments.items() if key != "deep_supervision"} | arguments
    left_open = tuple(name for name in found.undecided if name not in arguments)
    return _Source(network, known, ours, found.title, left_open)


def _require_whole(found: Recognised, path: Path, network: str) -> None:
    if found.network != network:
        msg = f"{path.name} holds weights of {found.title}, not of {network}; give --network {found.network}"
        raise WeightsError(msg)
    if found.encoder_only:
        msg = f"{path.name} holds {found.title} alone, which cannot segment; it can only start a training"
        raise WeightsError(msg)
    problems = {
        "missing": found.missing,
        "unexpected": found.unexpected,
        "of another shape": found.of_another_shape,
    }
    if not found.fits:
        reasons = "; ".join(f"{what}: {listed(names)}" for what, names in problems.items() if names)
        msg = f"{path.name} looks like weights of {found.title}, but does not fit it, {reasons}"
        raise WeightsError(msg)


def _with_channels(source: _Source, choices: Choices, plans: Plans | None, notes: list[str]) -> _Source:
    """Repeat one channel three times where the published code did."""
    given = choices.channels or (plans.channels if plans else None)
    context = choices.slices.context if choices.slices else 0
    wanted = (1 if given is None else len(given)) * (2 * context + 1)
    can_repeat = source.network in _REPEATING and "input_repeats" not in source.arguments
    if not can_repeat or source.arguments.get("in_channels") != _PUBLISHED_CHANNELS or wanted != 1:
        return source
    notes.append("one channel goes in and is repeated three times, as in the published code; --channels changes it")
    return replace(source, arguments=source.arguments | {"in_channels": 1, "input_repeats": _PUBLISHED_CHANNELS})


def _with_background(source: _Source, notes: list[str]) -> _Source:
    """Give a network of one output, which a sigmoid follows, a background whose score is always 0.

    Softmax over 0 and x is the sigmoid of x, so the label's probability stays what it was.
    """
    if source.arguments.get("label_count") != 1 or "head.weight" not in source.state:
        return source
    notes.append("one output, for a sigmoid: a background with the score 0 is added, which changes no probability")
    head = {key: value for key, value in source.state.items() if key in ("head.weight", "head.bias")}
    wider = {key: torch.cat([torch.zeros_like(value), value]) for key, value in head.items()}
    return replace(source, state={**source.state, **wider}, arguments=source.arguments | {"label_count": 2})


def _with_size(source: _Source, window: IntTriple | None, choices: Choices) -> _Source:
    """Take an image size the weights leave open from the window, where that goes with them."""
    if window is None:
        return source
    decided = dict(source.arguments)
    if "input_shape" in source.undecided and prod(window) == prod(decided["input_shape"]):
        decided["input_shape"] = list(window)
    if "image_size" in source.undecided:
        across = choices.slices.axis if choices.slices else window.index(1) if 1 in window else None
        sides = [size for axis, size in enumerate(window) if axis != across]
        decided["image_size"] = sides[0] if len(set(sides)) == 1 else sides
    still_open = tuple(name for name in source.undecided if decided[name] == source.arguments[name])
    return replace(source, arguments=decided, undecided=still_open)


def _build(source: _Source) -> Any:
    try:
        return build_any(source.network, **source.arguments)
    except ImportError as error:
        raise MissingDependency(str(error)) from error
    except (TypeError, ValueError) as error:
        msg = f"the arguments do not make a network: {error}; see --arguments"
        raise ManifestError(msg) from error


def _manifest(path: Path, source: _Source, choices: Choices, plans: Plans | None, notes: list[str]) -> ModelManifest:
    labels = choices.labels or ()
    outputs = source.arguments.get(label_argument(source.network), len(labels) + 1)
    if outputs != len(labels) + 1:
        msg = f"{path.name} has {outputs} outputs, one of them the background, and {len(labels)} labels are given"
        raise ManifestError(msg)
    orientation = choices.orientation or (plans.orientation if plans else "RAS")
    slices = _slices(source, choices, orientation, notes)
    intensity = choices.intensity or (plans.intensity if plans else None)
    if intensity is None:
        msg = f"{path.name} does not say how intensities were prepared; say it with --intensity"
        raise ManifestError(msg)
    if choices.orientation is None:
        where = "nnU-Net does not turn images; SPL is assumed" if plans else "no orientation is stated; RAS is assumed"
        notes.append(where)
    notes += [f"the weights leave {name} open: {source.arguments.get(name)} is taken" for name in source.undecided]
    if choices.spacing_mm is None and plans is None:
        notes.append("no spacing is stated; images keep their own")
    title = choices.title or f"{source.title}: {path.stem}"
    return ModelManifest(
        model_id=choices.model_id,
        title=title,
        version="1.0.0",
        description=f"Imported from {path.name}, weights of {source.title}",
        network=source.network,
        arguments={key: _as_json(value) for key, value in source.arguments.items()},
        labels=labels,
        channels=choices.channels or (plans.channels if plans else _channels(source, slices)),
        orientation=orientation,
        spacing_mm=choices.spacing_mm or (plans.spacing_mm if plans else None),
        intensity=intensity,
        window_shape=choices.window_shape or (plans.window_shape if plans else _window(source, slices)),
        slices=slices,
        anatomy=choices.anatomy or title,
        intended_use="Not stated by its authors.",
        licence=choices.licence or "Not stated by its authors.",
        authors="Not stated.",
        training_data="Not stated by its authors.",
    )


def _slices(source: _Source, choices: Choices, orientation: str, notes: list[str]) -> SliceRule | None:
    if source.network not in _ONLY_2D and source.arguments.get("spatial_dims", 3) != 2:
        return None
    if choices.slices is None:
        notes.append("a 2D network: slices are read across the body's long axis and resized; --slices changes it")
    return choices.slices or default_slices(orientation, "resize")


def _channels(source: _Source, slices: SliceRule | None) -> tuple[ChannelSpec, ...]:
    seen = 1 if slices is None else 2 * slices.context + 1
    count = int(source.arguments.get("in_channels", 1)) // seen
    return tuple(ChannelSpec(name="image" if count == 1 else f"image {n}", modality="OT") for n in range(count))


def _window(source: _Source, slices: SliceRule | None) -> IntTriple:
    axes = 3 if slices is None else 2
    stated = [source.arguments[name] for name in _SIZE_ARGUMENTS if source.arguments.get(name)]
    sides = [stated[0]] * axes if stated and isinstance(stated[0], int) else list(stated[0]) if stated else []
    if len(sides) != axes:
        msg = "neither the weights nor the arguments tell the size of a window; give it with --window"
        raise ManifestError(msg)
    return as_window(sides, slices)


def _as_json(value: Any) -> Any:
    return [_as_json(entry) for entry in value] if isinstance(value, list | tuple) else value

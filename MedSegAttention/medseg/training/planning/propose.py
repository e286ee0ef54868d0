"""Propose a plan from a fingerprint, and give the reason for every choice."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from medseg.bundles.label_specs import label_specs
from medseg.bundles.model_id import model_id_of
from medseg.io.dataset import Dataset
from medseg.spec.errors import JobError
from medseg.spec.fields import listed
from medseg.spec.manifest import ChannelSpec, IntensityRule, LabelSpec, ModelManifest, SliceRule, Triple
from medseg.spec.sides import has_side
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.fingerprint import Fingerprint
from medseg.training.planning.mirrored_labels import mirrored_words
from medseg.training.planning.network_plan import (
    CAREFUL_RATE,
    LEARNING_RATES,
    needs_slices,
    takes_slices,
    window_multiple,
)
from medseg.training.planning.plan import Plan, Recipe, parse_changes, window_is_patch
from medseg.training.planning.propose_patch import choose_patch
from medseg.training.planning.propose_window import MemoryBudget, choose_batch, choose_window

_THICK = 3.0  # an axis this many times coarser than the finest takes the finer end of its spacings, as in nnU-Net
DEFAULT_NETWORK = "ultralight_unet"
_ARGUMENTS = "model.arguments."
_PASSES, _FEWEST_STEPS, _MOST_STEPS = 200, 2_000, 50_000
_MODALITIES = {
    **dict.fromkeys(("MR", "MRI", "T1", "T2", "FLAIR"), "MR"),
    **dict.fromkeys(("CR", "DX", "RADIOGRAPH", "X-RAY", "XRAY"), "CR"),
    **dict.fromkeys(("PET", "PT"), "PT"),
    "CT": "CT",
}


def propose(dataset: Dataset, fingerprint: Fingerprint, config: TrainingConfig, device: torch.device) -> Plan:
    """Plan the training of a network on a data set.

    Args:
        dataset: what its folder says.
        fingerprint: of its cases.
        config: what the user has decided; everything else fits itself to that.
        device: where training will run; its free memory and speed bound window and batch.

    Raises:
        JobError: when labels are not numbered 1, 2, ... or nothing fits the memory.
        ManifestError: when the network cannot be as the user decided.
    """
    reasons: dict[str, str] = {}
    network = config.network or DEFAULT_NETWORK
    decided = decided_arguments(config)
    labels = propose_labels(dataset, fingerprint)
    flat = fingerprint.flat_axis if takes_slices(network) else None
    axis = next((each for each in (config.slice_axis, flat) if each is not None), 2 if needs_slices(network) else None)
    fitted = axis is not None and axis == flat and config.spacing is None
    spacing = config.spacing or _spacing(fingerprint, reasons)
    median = fingerprint.median_shape(spacing)
    budget = MemoryBudget(network, decided, len(fingerprint.channels), len(labels) + 1, spacing, axis, device)
    window = config.window or choose_window(budget, median, reasons)
    arguments = budget.arguments(window)
    batch = config.batch or choose_batch(budget, window, reasons)
    decides = window_is_patch(arguments)  # what is seen in training is what is seen later
    seconds = math.inf if decides and config.window else config.seconds
    patch, fitting = choose_patch(budget, arguments, window, batch, seconds, reasons)
    if decides and patch is not None:
        window, arguments = patch, budget.arguments(patch)
        patch = None
        reasons["model.window_shape"] = f"{reasons.pop('training.patch_shape')}; norms of each image bind the window"
    if fitted:
        reasons["model.slices"] = (
            "every image is one slice, as radiographs are: each is seen whole, resized to the window whatever its size"
        )
        reasons.pop("model.spacing_mm", None)
    if window_multiple(network) and config.window is None:
        reasons["model.arguments"] = "follow the window: axes are halved while they are long and fine enough"
    model = ModelManifest(
        model_id=model_id_of(config.output),
        title=f"{dataset.title} ({network})",
        version="1.0.0",
        description=dataset.description or f"Segments {', '.join(label.name for label in labels)}.",
        network=network,
        arguments=arguments,
        labels=labels,
        channels=_channels(dataset, fingerprint),
        orientation="RAS",
        spacing_mm=None if fitted else spacing,
        intensity=_intensity(dataset, fingerprint, reasons),
        window_shape=window,
        slices=None if axis is None else SliceRule(axis=axis, fit="resize" if fitted else "windows"),
        mirror_axes=_mirror_axes(labels, fingerprint, axis, reasons),
        anatomy=dataset.title,
        intended_use="Research. Not a medical device: every result must be checked by a person who knows the anatomy.",
        licence=dataset.licence or "not stated; ask the owners of the training data before sharing",
        authors="not stated",
        training_data=training_data(dataset, fingerprint),
        references=(dataset.reference,) if dataset.reference else (),
    )
    recipe = propose_recipe(fingerprint, network, batch, config.steps, reasons, fitting_steps=fitting)
    if fitted:
        recipe = dataclasses.replace(recipe, foreground=0.0)
        reasons["training.foreground"] = "an image is seen whole, so that there is no patch to place"
    return Plan(model=model, training=dataclasses.replace(recipe, patch_shape=patch), reasons=reasons)


def decided_arguments(config: TrainingConfig) -> dict[str, Any]:
    """Arguments of the network that the user has decided."""
    changes = parse_changes(config.changes)
    return {path.removeprefix(_ARGUMENTS): value for path, value in changes.items() if path.startswith(_ARGUMENTS)}


def propose_recipe(
    fingerprint: Fingerprint,
    network: str,
    batch: int,
    wanted_steps: int | None,
    reasons: dict[str, str],
    *,
    fitting_steps: float = math.inf,
) -> Recipe:
    """Number of steps, learning rate and what else follows from the cases; sentences are added to ``reasons``.

    ``fitting_steps`` is about how many the time limit holds.
    """
    count = len(fingerprint.cases)
    proposed = min(_MOST_STEPS, max(_FEWEST_STEPS, round(_PASSES * count / batch)))
    if wanted_steps is None:
        reasons["training.steps"] = (
            f"about {_PASSES} passes over {count} cases, between {_FEWEST_STEPS} and {_MOST_STEPS}; "
            "a time limit may end it sooner, with a finished schedule"
        )
    rate = LEARNING_RATES.get(network, CAREFUL_RATE)
    reasons["training.learning_rate"] = (
        "trained well with this network" if network in LEARNING_RATES else "low, since attention diverges at high rates"
    )
    share, rarest = fingerprint.foreground_share(), min(fingerprint.label_shares().values(), default=1.0)
    foreground = 1 / 3 if share > 0.005 else 2 / 3
    reasons["training.foreground"] = (
        f"{share:.2%} of a typical image is labelled and the rarest label is {rarest:.1%} of that; "
        "labels are drawn equally often, so that a small one is seen as often as a large one"
    )
    steps = wanted_steps or proposed
    decay = round(min(0.998, 1 - 1 / max(2.0, min(steps, fitting_steps) / 40)), 4)
    reasons["training.ema_decay"] = "weights are averaged over at most the last fortieth of the run"
    return Recipe(steps=steps, batch=batch, learning_rate=rate, foreground=foreground, ema_decay=decay)


def propose_labels(dataset: Dataset, fingerprint: Fingerprint) -> tuple[LabelSpec, ...]:
    """Names, colours and codes of what the data set labels.

    Raises:
        JobError: when labels are not numbered 1, 2, ... without gaps.
    """
    values = sorted(dataset.label_names) or list(fingerprint.label_values)
    if values != list(range(1, len(values) + 1)):
        shown = ", ".join(map(str, values))
        msg = f"labels are numbered 1, 2, ... without gaps, got {shown}; renumber them in the files and dataset.json"
        raise JobError(msg)
    return label_specs([dataset.label_names.get(value, f"label {value}") for value in values])


def _channels(dataset: Dataset, fingerprint: Fingerprint) -> tuple[ChannelSpec, ...]:
    count = len(fingerprint.channels)
    names = dataset.channel_names or ("",) * count
    usual = "MR" if fingerprint.flat_axis is None else "OT"  # a picture may be anything: DICOM's "other"
    made = []
    for number, name in enumerate(names):
        modality = _MODALITIES.get(name.upper(), usual)
        shown = name if name and names.count(name) == 1 else f"{name or 'image'} {number + 1}".strip()
        made.append(ChannelSpec(name=name if count == 1 and name else shown, modality=modality))
    return tuple(made)


def _spacing(fingerprint: Fingerprint, reasons: dict[str, str]) -> Triple:
    median = np.array(fingerprint.median_spacing_mm)
    every = np.array([case.spacing_mm for case in fingerprint.cases])
    if np.allclose(every, median, rtol=1e-2):
        reasons["model.spacing_mm"] = "every case has it: nothing is interpolated"
    else:
        reasons["model.spacing_mm"] = "median of the cases: half of them lose and half gain resolution"
    coarsest = int(np.argmax(median))
    if median[coarsest] >= _THICK * np.delete(median, coarsest).max():
        median[coarsest] = np.percentile(every[:, coarsest], 10)
        reasons["model.spacing_mm"] += "; slices are thick, so their distance is the finer end (10 %) of the cases"
    i, j, k = (float(f"{mm:.5g}") for mm in median)
    return i, j, k


def _intensity(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> IntensityRule:
    names = {name.upper() for name in dataset.channel_names}
    first = fingerprint.channels[0]
    if len(fingerprint.channels) == 1 and (names == {"CT"} or (not names - {""} and first.lowest <= -900)):
        reasons["model.intensity"] = (
            "CT values mean the same in every scan: clipped to the 0.5 and 99.5 percentiles of labelled voxels, then "
            "their mean and standard deviation"
        )
        return IntensityRule(
            kind="clip_zscore",
            lower=first.percentile_00_5,
            upper=first.percentile_99_5,
            mean=first.mean,
            std=max(first.std, 1e-3),
        )
    reasons["model.intensity"] = "grey values are arbitrary outside CT: every image gets mean 0, standard deviation 1"
    return IntensityRule(kind="zscore")


def _mirror_axes(
    labels: tuple[LabelSpec, ...], fingerprint: Fingerprint, slice_axis: int | None, reasons: dict[str, str]
) -> tuple[int, ...]:
    if sided := [label.name for label in labels if has_side(label)]:
        reasons["model.mirror_axes"] = (
            f"labels have a side ({listed(sided)}), so a mirrored patient would be labelled wrongly"
        )
        return ()
    if found := mirrored_words(labels, fingerprint):
        reasons["model.mirror_axes"] = f"{found}: if these are sides, a mirrored patient would be labelled wrongly"
        return ()
    if slice_axis == 0:
        reasons["model.mirror_axes"] = "slices are sagittal, so left and right cannot be exchanged in them"
        return ()
    reasons["model.mirror_axes"] = (
        "no label has a side, by its name or in the data: left and right are exchanged half of the time"
    )
    return (0,)


def training_data(dataset: Dataset, fingerprint: Fingerprint) -> str:
    """What the model card says about the cases."""
    sizes = " x ".join(str(math.floor(size)) for size in np.median([c.shape for c in fingerprint.cases], axis=0))
    left_out = f"; {len(fingerprint.problems)} could not be used" if fingerprint.problems else ""
    return f"{dataset.title}, {len(fingerprint.cases)} cases of about {sizes} voxels{left_out}"

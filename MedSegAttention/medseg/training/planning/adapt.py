"""A plan that follows a bundle: the same network, spacing and intensities, for other cases and perhaps other labels."""

import dataclasses
import math
from collections.abc import Sequence

import torch

from medseg.bundles.build import label_argument
from medseg.io.dataset import Dataset
from medseg.spec.errors import JobError
from medseg.spec.labels import LabelSpec
from medseg.spec.manifest import FOLDED, ModelManifest
from medseg.spec.same_segment import listing, same_segments
from medseg.training.planning.fingerprint import Fingerprint
from medseg.training.planning.mirrored_labels import unmirrorable
from medseg.training.planning.network_plan import CAREFUL_RATE, LEARNING_RATES
from medseg.training.planning.plan import Plan, window_is_patch
from medseg.training.planning.propose import propose_labels, propose_recipe, training_data
from medseg.training.planning.propose_patch import choose_patch
from medseg.training.planning.propose_window import MemoryBudget
from medseg.training.planning.side_heads import storable

_GENTLER = 0.3  # learning rate of a fine-tuning, compared with a beginning at random


def adapt(
    manifest: ModelManifest,
    dataset: Dataset,
    fingerprint: Fingerprint,
    model_id: str | None,
    *,
    seconds: float = math.inf,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a value
) -> Plan:
    """Plan the training of another bundle's network on a data set.

    Args:
        manifest: of the bundle, or a metadata.json written by hand.
        dataset: its cases.
        fingerprint: of them.
        model_id: of the new model, which begins with the bundle's weights, and so with smaller steps. None: the model
            is the manifest's own, with its labels whatever the data set calls them, and begins at random.
        seconds: time limit of the run.
        device: where it will run.

    Raises:
        JobError: when the data set has another number of channels, or labels with gaps.
    """
    if manifest.overlapping is not None:
        msg = f"{manifest.model_id} has segments that overlap, which are not trained here; choose another model"
        raise JobError(msg)
    if len(fingerprint.channels) != len(manifest.channels):
        msg = (
            f"{manifest.model_id} takes {len(manifest.channels)} channel(s), the data set has "
            f"{len(fingerprint.channels)}; choose another model to start from"
        )
        raise JobError(msg)
    reasons: dict[str, str] = {"model.network": f"as in {manifest.model_id}", "model.spacing_mm": "the same"}
    labels = propose_labels(dataset, fingerprint)
    known = {label.name.lower(): label for label in manifest.labels}
    if model_id is None:
        _check_order(labels, manifest)
    if model_id is None or [label.name.lower() for label in labels] == list(known):
        labels = manifest.labels
    else:  # colours and codes of labels that have a known name stay
        labels = tuple(dataclasses.replace(known.get(label.name.lower(), label), value=label.value) for label in labels)
    arguments = {**storable(manifest), label_argument(manifest.network): len(labels) + 1}
    if labels != manifest.labels:
        arguments.pop(FOLDED, None)  # other labels than those that its helpers helped
    locate = manifest.locate if labels == manifest.labels else None  # its boxes name the labels of the model
    model = dataclasses.replace(
        manifest,
        version="1.0.0",
        labels=labels,
        arguments=arguments,
        locate=locate,
        scores=(),
        timings=(),
        imported=None,
    )
    across = next(n for n, letter in enumerate(manifest.orientation) if letter in "RL")
    if across in model.mirror_axes and labels != manifest.labels and (why := unmirrorable(labels, fingerprint)):
        model = dataclasses.replace(model, mirror_axes=tuple(axis for axis in model.mirror_axes if axis != across))
        reasons["model.mirror_axes"] = f"without the axis of left and right: {why}"
    if model_id is not None:
        history = f"{training_data(dataset, fingerprint)}. Started from {manifest.model_id}: {manifest.training_data}"
        model = dataclasses.replace(
            model,
            model_id=model_id,
            title=f"{dataset.title} ({manifest.network})",
            training_data=history,
            description=f"Segments {', '.join(each.name for each in labels)}; fine-tuned from {manifest.model_id}.",
        )
    batch, axis = (2, None) if manifest.slices is None else (8, manifest.slices.axis)
    spacing = manifest.spacing_mm or fingerprint.median_spacing_mm
    budget = MemoryBudget(manifest.network, arguments, len(manifest.channels), len(labels) + 1, spacing, axis, device)
    limit = math.inf if window_is_patch(arguments) else seconds
    patch, fitting = choose_patch(budget, arguments, manifest.window_shape, batch, limit, reasons)
    recipe = propose_recipe(fingerprint, manifest.network, batch, None, reasons, fitting_steps=fitting)
    recipe = dataclasses.replace(recipe, patch_shape=patch)
    if model_id is not None:
        rate = LEARNING_RATES.get(manifest.network, CAREFUL_RATE) * _GENTLER
        recipe = dataclasses.replace(recipe, learning_rate=rate)
        reasons["training.learning_rate"] = "smaller than for a beginning at random: most weights are good already"
    return Plan(model=model, training=recipe, reasons=reasons)


def _check_order(labels: Sequence[LabelSpec], manifest: ModelManifest) -> None:
    """Refuse a data set that has the manifest's labels under other numbers.

    Raises:
        JobError: names both.
    """
    table = same_segments(labels, manifest.labels)
    if any(value != other for value, other in table.items()):
        msg = (
            f"the data set numbers its labels {listing(labels)}, and {manifest.model_id} {listing(manifest.labels)}; "
            "give the same things the same numbers, or start from the model (--from) instead of training like it"
        )
        raise JobError(msg)

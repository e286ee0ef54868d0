"""Labels that help a network to learn and are background in its model: folded when stored, open while it trains."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import nn

from medseg.bundles.build import FoldedBackground, label_argument
from medseg.spec.manifest import FOLDED, LabelSpec, ModelManifest


def folded(model: ModelManifest, network: nn.Module, helpers: Sequence[str]) -> tuple[ModelManifest, nn.Module]:
    """What is stored of a trained network: the same without the labels that only helped.

    Args:
        model: with all labels, the helpers last.
        network: of it.
        helpers: their names; none: nothing changes.
    """
    if not helpers:
        return model, network
    labels = model.labels[: len(model.labels) - len(helpers)]
    arguments: dict[str, Any] = {
        **model.arguments,
        label_argument(model.network): len(labels) + 1,
        FOLDED: len(helpers),
    }
    return dataclasses.replace(model, labels=labels, arguments=arguments), FoldedBackground(network, len(helpers))


def unfolded(model: ModelManifest, labels: tuple[LabelSpec, ...]) -> ModelManifest:
    """The model that went into ``folded``, to go on with its training.

    Args:
        model: as it is stored.
        labels: all of them, the helpers last.
    """
    arguments = {name: value for name, value in model.arguments.items() if name != FOLDED}
    if FOLDED in model.arguments:
        arguments[label_argument(model.network)] = len(labels) + 1
        labels = (*model.labels, *labels[len(model.labels) :])
    else:
        labels = model.labels
    return dataclasses.replace(model, labels=labels, arguments=arguments)

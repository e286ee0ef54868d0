"""How good the weights are while a run goes on: Dice of prepared cases, with the network as a bundle runs it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from medseg.inference.predictor import predict
from medseg.inference.run_plan import plan_network
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest
from medseg.training.data.cases import IGNORE, Case


def score_cases(network: nn.Module, cases: Sequence[Case], manifest: ModelManifest, device: torch.device) -> float:
    """Mean Dice over labels, each the mean over the cases that have it or find it.

    Done on the model's grid and without averaging over mirror images, so that it is quick; ``medseg validate`` is the
    measure that counts.

    Args:
        network: in evaluation mode.
        cases: none of them trained on.
        manifest: of the model.
        device: where the network runs.
    """
    values = [label.value for label in manifest.labels]
    dice: dict[int, list[float]] = {value: [] for value in values}
    options = Options(mirror=False, overlap=0.25)
    for case in cases:
        plan = plan_network(case.image.shape, manifest, options, device=str(device))
        scores = predict(np.asarray(case.image), network, plan)
        seen = case.labels[0] != IGNORE
        found, truth = scores.argmax(axis=0)[seen], case.labels[0][seen]
        for value in values:
            if case.known[value]:
                sizes = int((found == value).sum()) + int((truth == value).sum())
                both = int(((found == value) & (truth == value)).sum())
                if sizes:
                    dice[value].append(2 * both / sizes)
    means = [float(np.mean(each)) for each in dice.values() if each]
    return float(np.mean(means)) if means else 0.0

"""Finished models that show a new one what they would answer: several become one that is as fast as any of them."""

import dataclasses
from collections.abc import Sequence

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.bundles.weights import load_network
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest

_SHARED = ("network_channels", "spacing_mm", "intensity", "slices")  # besides the labels


class Teacher:
    """Mean of the probabilities of finished networks."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """Take networks in evaluation mode, without gradients."""
        self.networks = networks

    def to(self, device: torch.device) -> None:
        """Move the networks."""
        for network in self.networks:
            network.to(device)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Answer for a batch.

        Shape:
            image ``(B, C, I, J, K)`` -> probabilities ``(B, L, I, J, K)``; or both in 2D
        """
        answers = [network(image).float().softmax(dim=1) for network in self.networks]
        return torch.stack(answers).mean(dim=0)


class TeacherLoss(nn.Module):
    """Cross-entropy and soft Dice loss (labels without background) against a teacher's probabilities.

    The idea of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, at
    temperature 1. The denominator of the Dice loss is made of squares, so that its minimum is where both agree;
    with plain sums it would be where the student is certain.

    Shape:
        logits and probabilities ``(B, L, ...)`` -> scalar
    """

    def __init__(self) -> None:
        """Take MONAI's Dice loss over the whole batch."""
        super().__init__()
        self.dice = DiceLoss(include_background=False, squared_pred=True, batch=True)

    def forward(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Compute the loss in float32."""
        likely = F.log_softmax(logits.float(), dim=1)
        crossed = -(probabilities * likely).sum(dim=1).mean()
        dice: Tensor = self.dice(likely.exp(), probabilities)
        return crossed + dice


def open_teacher(names: Sequence[str], model: ModelManifest) -> Teacher | None:
    """Load the teachers of a model; None when there are none.

    Args:
        names: ids or folders of bundles.
        model: the student.

    Raises:
        ModelNotFound: when there is no such bundle.
        JobError: when one sees other channels, voxels, intensities or slices, or knows other labels.
        ManifestError, WeightsError: when one cannot be used.
    """
    networks = [load_network(bundle) for bundle in _open(names, model)]
    return Teacher(networks) if networks else None


def taught_by(model: ModelManifest, names: Sequence[str]) -> ModelManifest:
    """Say in the manifest who taught the model; what a teacher learned from is in its own.

    Raises:
        JobError: as ``open_teacher``; no weights are read.
    """
    said = f"Taught by {', '.join(bundle.manifest.model_id for bundle in _open(names, model))}"
    if not names or said in model.training_data:
        return model
    return dataclasses.replace(model, training_data=f"{model.training_data.rstrip('.')}. {said}")


def _open(names: Sequence[str], student: ModelManifest) -> list[Bundle]:
    bundles = [open_bundle(name) for name in names]
    for teacher in (bundle.manifest for bundle in bundles):
        different = [name for name in _SHARED if getattr(teacher, name) != getattr(student, name)]
        if [label.name for label in teacher.labels] != [label.name for label in student.labels]:
            different.append("labels")
        if different:
            msg = (
                f"{teacher.model_id} cannot teach {student.model_id}: they differ in {', '.join(different)}; choose a "
                "teacher that was trained on this data set, or train like it with --from or --like"
            )
            raise JobError(msg)
    return bundles

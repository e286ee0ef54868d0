"""Begin with the weights of another bundle: what fits is loaded, what depends on the labels starts anew."""

from collections.abc import Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from medseg.bundles.build import INNER, build_any, label_argument, member_count
from medseg.bundles.catalogue import Bundle
from medseg.spec.errors import JobError
from medseg.spec.manifest import FOLDED, ModelManifest
from medseg.training.planning.side_heads import storable

_FIRST = "members.0."
_NAMED = 4  # tensors a note names before it counts


def start_from(network: nn.Module, model: ModelManifest, bundle: Bundle) -> list[str]:
    """Fill a network with a bundle's weights.

    Where the labels are the bundle's, everything is loaded; else the layers whose size depends on the number of labels
    keep their random weights, and so does what has another size or is not in the bundle (side heads).

    Args:
        network: built for training; changed in place.
        model: what is going to be trained.
        bundle: where the weights come from.

    Returns:
        Sentences on what was loaded and what begins anew.

    Raises:
        JobError: when the bundle has another network, or nothing of it fits.
    """
    if bundle.manifest.network != model.network:
        msg = (
            f"{bundle.manifest.model_id} is a {bundle.manifest.network} and cannot start a {model.network}; "
            f"leave --network out or choose {bundle.manifest.network}"
        )
        raise JobError(msg)
    stored: Mapping[str, Tensor] = load_file(bundle.weights_path)
    if member_count(stored):  # of an ensemble the first network; the others are as good
        stored = {name.removeprefix(_FIRST): tensor for name, tensor in stored.items() if name.startswith(_FIRST)}
    ours, theirs = ([label.name for label in each.labels] for each in (model, bundle.manifest))
    helpers = bundle.manifest.arguments.get(FOLDED, 0)
    if helpers and FOLDED not in model.arguments:
        stored = {name.removeprefix(INNER): tensor for name, tensor in stored.items()}
        if len(ours) == len(theirs) + helpers:  # which are labels again
            ours = ours[: len(theirs)]
    wanted = network.state_dict()
    same = ours == theirs
    head = frozenset[str]() if same else label_dependent(model)
    fitting = {
        name: tensor.to(wanted[name].dtype)
        for name, tensor in stored.items()
        if name in wanted and wanted[name].shape == tensor.shape and name not in head
    }
    if not fitting:
        msg = f"no tensor of {bundle.manifest.model_id} fits this network; use the bundle's own arguments"
        raise JobError(msg)
    network.load_state_dict({**wanted, **fitting})
    anew = [name for name in wanted if name not in fitting]
    notes = [f"{len(fitting)} of {len(wanted)} tensors start with the weights of {bundle.manifest.model_id}"]
    if anew:
        more = f" and {len(anew) - _NAMED} more" if len(anew) > _NAMED else ""
        why = "side heads" if same else "the labels differ"
        notes.append(f"{len(anew)} tensors begin at random ({why}): {', '.join(anew[:_NAMED])}{more}")
    return notes


def label_dependent(model: ModelManifest) -> frozenset[str]:
    """Names of the tensors whose shape depends on the number of labels."""
    arguments, name = storable(model), label_argument(model.network)
    shapes = []
    for count in (model.label_count, model.label_count + 1):
        with torch.device("meta"):
            built = build_any(model.network, **{**arguments, name: count})
        shapes.append({key: tensor.shape for key, tensor in built.state_dict().items()})
    return frozenset(key for key, shape in shapes[0].items() if shapes[1].get(key) != shape)

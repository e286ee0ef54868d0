"""Weights <-> network, as safetensors only: opening a model never runs its author's code."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from medseg.bundles.build import LEFT_OUT, Ensemble, build_any, label_argument, member_count
from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.spec.errors import ManifestError, WeightsError
from medseg.spec.fields import listed

StoredAs: TypeAlias = Literal["float32", "float16"]
_NAMED = 3  # keys an error names before it counts


def load_network(bundle: Bundle) -> nn.Module:
    """Build a bundle's network and fill it with the bundle's weights.

    Returns:
        The network in evaluation mode, in float32, on the CPU.

    Raises:
        ManifestError: when the network is unknown or its arguments do not fit it.
        WeightsError: as ``load_weights`` raises it.
    """
    manifest = bundle.manifest
    if manifest.composition is not None:
        folders = listed([f"stages/{place}" for place in dict.fromkeys(s.place for s in manifest.composition.stages)])
        msg = f"{manifest.model_id} is made of several models and has no network of its own; take one of {folders}"
        raise ManifestError(msg)
    counts = (
        (label_argument(manifest.network), manifest.label_count + manifest.arguments.get(LEFT_OUT, 0)),
        ("in_channels", manifest.network_channels),
    )
    channels = "channels" if manifest.slices is None else "channels of every slice seen"
    for name, wanted in counts:
        if manifest.arguments.get(name, wanted) != wanted:
            msg = (
                f"{metadata_path(bundle.folder)}: medseg.arguments.{name} is {manifest.arguments[name]}, but the "
                f"labels (with the background) and {channels} listed there "
                f"ask for {wanted}; make them agree"
            )
            raise ManifestError(msg)
    try:
        network = build_any(manifest.network, **manifest.arguments)
    except (TypeError, ValueError) as error:
        msg = f"{metadata_path(bundle.folder)}: medseg.network and medseg.arguments do not make a network: {error}"
        raise ManifestError(msg) from error
    _require_axes(network, bundle)
    folds = 1 if manifest.nnunet is None else manifest.nnunet.folds
    return load_weights(network, bundle.weights_path, folds=folds)


def _require_axes(network: nn.Module, bundle: Bundle) -> None:
    """Refuse a 2D network that is not told its slices, and slices for a 3D network: by its convolutions."""
    flat = any(isinstance(part, nn.Conv2d) for part in network.modules())
    deep = any(isinstance(part, nn.Conv3d) for part in network.modules())
    manifest = bundle.manifest
    if flat and not deep and manifest.slices is None:
        msg = (
            f"{metadata_path(bundle.folder)}: {manifest.network} with these arguments is a 2D network; say with "
            "medseg.slices across which axis it reads slices"
        )
        raise ManifestError(msg)
    if deep and not flat and manifest.slices is not None:
        msg = (
            f"{metadata_path(bundle.folder)}: medseg.slices is for 2D networks, and {manifest.network} with these "
            "arguments is a 3D one; set medseg.arguments.spatial_dims to 2, or leave medseg.slices out"
        )
        raise ManifestError(msg)


def load_weights(network: nn.Module, path: Path | str, *, folds: int = 1) -> nn.Module:
    """Fill a network; half-precision weights become float32.

    Args:
        network: changed in place.
        path: a safetensors file that holds every tensor of the network's state dict and no other, or those of several
            networks (``members.0.``, ``members.1.``, ...).
        folds: networks whose answers stay apart; the file then has as many.

    Returns:
        The same network, in evaluation mode, without gradients; for several, an ``Ensemble`` of as many copies.

    Raises:
        WeightsError: when the file is missing or damaged, a key is missing, unexpected or of a wrong shape, a weight
            is not finite, or there are not as many networks as folds.
    """
    stored = _read(Path(path))
    count = member_count(stored)
    if folds > 1 and count != folds:
        msg = f"{path} holds {count or 1} network(s), and its manifest says {folds} folds; import the model again"
        raise WeightsError(msg)
    if count:
        network = Ensemble((copy.deepcopy(network) for _ in range(count)), apart=folds > 1)
    return fill_network(network, stored, str(path))


def fill_network(network: nn.Module, stored: Mapping[str, Tensor], source: str) -> nn.Module:
    """Fill a network with tensors under its own names; half precision becomes float32.

    Args:
        network: changed in place, when everything fits.
        stored: every tensor of the network's state dict and no other.
        source: where the tensors come from, for the message.

    Returns:
        The same network, in evaluation mode, without gradients.

    Raises:
        WeightsError: names what is missing, unexpected, of a wrong shape or not finite.
    """
    wanted = network.state_dict()
    # a file can claim a tensor far larger than itself, so values are looked at where shapes are right only
    expected = {name: stored[name] for name in wanted if name in stored and stored[name].shape == wanted[name].shape}
    complaints = (
        _complaint("missing", [name for name in wanted if name not in stored]),
        _complaint("unexpected", [name for name in stored if name not in wanted]),
        _complaint("of another shape", _wrong_shapes(wanted, stored)),
        _complaint("not finite", [name for name, tensor in expected.items() if not bool(torch.isfinite(tensor).all())]),
    )
    if any(complaints):
        msg = f"{source} does not fit its network: {'; '.join(filter(None, complaints))}"
        raise WeightsError(msg)
    network.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in stored.items()})
    return network.eval().requires_grad_(False)


def save_weights(network: nn.Module, path: Path, *, stored_as: StoredAs = "float32") -> None:
    """Write a network's state dict, in one step: a reader sees the old file or the new one.

    Args:
        network: on any device.
        path: ends in ``.safetensors``; its folder exists.
        stored_as: "float16" halves the file; tensors of fewer than two dimensions (biases, normalisation and its
            statistics) stay float32, they cost nothing and can be too small for float16.

    Raises:
        WeightsError: when a weight is not finite, or is too large for float16.
    """
    tensors = {name: _stored(tensor, stored_as) for name, tensor in network.state_dict().items()}
    if bad := _complaint("not finite", [n for n, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]):
        msg = f"weights are not written to {path} as {stored_as}: {bad}"
        raise WeightsError(msg)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(save(tensors, metadata={"format": "pt"}))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        msg = f"{path} is missing; a bundle needs its weights there, as safetensors"
        raise WeightsError(msg)
    try:
        return load_file(path)
    except PermissionError as error:
        msg = f"{path} may not be read by this user; ask its owner for permission"
        raise WeightsError(msg) from error
    except (SafetensorError, OSError) as error:
        msg = f"{path} is not a whole safetensors file ({error}); fetch or export the model again"
        raise WeightsError(msg) from error


def _stored(tensor: Tensor, stored_as: StoredAs) -> Tensor:
    kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if not kept.is_floating_point():
        return kept
    return kept.half() if stored_as == "float16" and kept.ndim >= 2 else kept.float()


def _wrong_shapes(wanted: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{name} {tuple(stored[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in stored and stored[name].shape != tensor.shape
    ]


def _complaint(what: str, names: Sequence[str]) -> str:
    return f"{len(names)} tensor(s) {what}: {listed(names, _NAMED)}" if names else ""

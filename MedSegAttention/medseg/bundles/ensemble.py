"""Several networks of one kind as one: their logits are averaged, their weights lie in one file, one bundle."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import nn

from medseg.bundles.build import Ensemble
from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import StoredAs, load_network
from medseg.bundles.write import write_bundle
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ModelManifest

# what the members of an ensemble may say differently
_OF_ITS_OWN = frozenset(
    {"model_id", "title", "version", "description", "training_data", "scores", "timings", "imported"}
)


def combine(
    bundles: Sequence[Bundle], output: Path, model_id: str, *, stored_as: StoredAs = "float32", overwrite: bool = False
) -> Bundle:
    """Write an ensemble bundle, e.g. of the folds of a cross-validation.

    Args:
        bundles: two or more with one network, the same labels, channels and preprocessing.
        output: folder of the new bundle.
        model_id: its id.
        stored_as: precision of the weights in the file.
        overwrite: replace a folder that is there.

    Raises:
        ManifestError: when there are fewer than two, or they differ in more than their training; names the fields.
        OutputExists: when the folder is there and overwriting is not allowed.
        WeightsError: when the weights of one cannot be read.
    """
    if len(bundles) < 2:
        msg = f"an ensemble has two models or more, got {len(bundles)}; name several"
        raise ManifestError(msg)
    first = bundles[0].manifest
    for bundle in bundles[1:]:
        names = (field.name for field in dataclasses.fields(first) if field.name not in _OF_ITS_OWN)
        theirs = _as_one(bundle.manifest)
        if different := [name for name in names if getattr(_as_one(first), name) != getattr(theirs, name)]:
            msg = (
                f"{bundle.manifest.model_id} ({bundle.folder}) differs from {bundles[0].folder} in "
                f"{', '.join(different)}; an ensemble needs models of one kind"
            )
            raise ManifestError(msg)
    members = _members(bundles)
    manifest = dataclasses.replace(
        first,
        model_id=model_id,
        title=f"{first.title}, ensemble of {len(bundles)}",
        description=f"{first.description} The logits of {len(bundles)} networks are averaged.",
        training_data="; ".join(dict.fromkeys(bundle.manifest.training_data for bundle in bundles)),
        scores=(),
        timings=(),
        imported=None,
        nnunet=None if first.nnunet is None else dataclasses.replace(first.nnunet, folds=len(members)),
    )
    network = Ensemble(members, apart=first.nnunet is not None)
    licence = bundles[0].folder / "LICENSE"
    text = licence.read_text(encoding="utf-8") if licence.is_file() else f"{first.licence}\n"
    return write_bundle(output, manifest, network, licence_text=text, stored_as=stored_as, overwrite=overwrite)


def _as_one(manifest: ModelManifest) -> ModelManifest:
    """What a manifest says of one of its networks, for several may be counted in it."""
    rule = manifest.nnunet
    return manifest if rule is None else dataclasses.replace(manifest, nnunet=dataclasses.replace(rule, folds=1))


def _members(bundles: Iterable[Bundle]) -> list[nn.Module]:
    """Every network; of an ensemble its members, so that none counts twice."""
    networks: list[nn.Module] = []
    for bundle in bundles:
        network = load_network(bundle)
        networks += list(network.members) if isinstance(network, Ensemble) else [network]
    return networks

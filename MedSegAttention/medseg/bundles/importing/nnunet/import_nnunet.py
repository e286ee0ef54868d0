"""A folder or archive of nnU-Net v2 becomes a bundle: plans read, every weight checked, one window tried."""

import tempfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medseg.bundles.build import Ensemble, build_any
from medseg.bundles.importing.archive import open_archive
from medseg.bundles.importing.checkpoint import read_content, weights_in
from medseg.bundles.importing.choices import Choices, Imported
from medseg.bundles.importing.nnunet.architecture import read_architecture
from medseg.bundles.importing.nnunet.model_folder import (
    CHECKPOINTS,
    ModelFolder,
    configuration,
    find_model_folders,
)
from medseg.bundles.importing.nnunet.preparation import read_channels, read_outputs, read_rule
from medseg.bundles.importing.nnunet.several import ChangeManifest, choose, import_stages, unchanged
from medseg.bundles.importing.nnunet.totalsegmentator.find_task import find_task
from medseg.bundles.importing.nnunet.totalsegmentator.import_task import import_task
from medseg.bundles.importing.put_in_place import Watch, ignore_stage, put_in_place
from medseg.bundles.label_specs import label_specs
from medseg.bundles.weights import fill_network
from medseg.spec.errors import ManifestError, WeightsError
from medseg.spec.manifest import IntensityRule, ModelManifest, SliceRule

_READ = ("network_weights", "init_args", "trainer_name", "inference_allowed_mirroring_axes")  # of a checkpoint
_WRAPPED = ("module.", "_orig_mod.")  # of networks trained on several cards, and compiled ones
_ALIASES = (("decoder.encoder.", "encoder."), (".conv.", ".all_modules.0."))
_NORMS = tuple(f".all_modules.{place}." for place in (1, 2, 3))  # after dropout or the activation, where there is one
_FEW = 10**8  # weights that are allocated before they are compared one by one
_NOT_UNDERSTOOD = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def import_nnunet(
    path: Path,
    output: Path,
    choices: Choices,
    *,
    configuration_name: str | None = None,
    task: str | None = None,
    folds: Sequence[str] | None = None,
    overwrite: bool = False,
    scratch: Path | None = None,
    watch: Watch = ignore_stage,
) -> Imported:
    """Import a trained configuration: nothing of it is run, and nothing is written before every weight fits.

    Args:
        path: its folder, the folder of its data set, or a ZIP archive of one.
        output: folder of the new bundle.
        choices: id, title, labels and what else is not to be taken from the files.
        configuration_name: "2d", "3d_fullres", ...; needed where the folder holds several. Several with commas are
            averaged. A cascade is imported with the stage before it.
        task: of TotalSegmentator, whose models become one; None: the only one that is there, if any.
        folds: which of them; several are averaged. None: all that were trained.
        overwrite: replace a folder that is there.
        scratch: folder in which an archive is unpacked; None: the system's.
        watch: hears what is about to be done.

    Raises:
        ManifestError: when the archive is unsafe, or the files say what is not understood; names the place.
        WeightsError: when a checkpoint would run code or does not fit.
        MissingDependency: when the package of nnU-Net's networks is not installed.
        OutputExists: as ``write_bundle`` raises it.
    """
    with tempfile.TemporaryDirectory(prefix="medseg-import-", dir=scratch) as unpacked:
        watch("unpack")
        root = open_archive(path, Path(unpacked))
        watch("open")
        one = partial(import_folder, watch=watch)
        theirs = find_task(find_model_folders(root), path, task)
        if theirs is not None:
            return import_task(theirs, path, output, choices, one, folds=folds, overwrite=overwrite, scratch=scratch)
        targets = choose(root, path, configuration_name)
        if len(targets) == 1 and targets[0].previous_stage is None:
            return one(targets[0], output, choices, folds=folds, overwrite=overwrite, source=path)
        return import_stages(targets, path, output, choices, one, folds=folds, overwrite=overwrite, scratch=scratch)


def import_folder(
    model: ModelFolder,
    output: Path,
    choices: Choices,
    *,
    folds: Sequence[str] | None = None,
    overwrite: bool = False,
    source: Path | None = None,
    change: ChangeManifest = unchanged,
    watch: Watch = ignore_stage,
) -> Imported:
    """Import the folder of one trained configuration; arguments and errors as of ``import_nnunet``.

    Args:
        model: the folder.
        output: as in ``import_nnunet``, and so are those that are not described here.
        choices: also.
        folds: also.
        overwrite: also.
        source: what was handed over; None: the folder.
        change: has the last word on the manifest.
        watch: also.
    """
    files, kind = model.checkpoints(folds)
    checkpoints = [_read_checkpoint(each) for each in files]
    try:
        manifest, notes = _manifest(model, checkpoints[0], choices)
    except _NOT_UNDERSTOOD as error:
        msg = (
            f"{model.path}: plans.json, dataset.json or {files[0].name} says something that is not understood "
            f"({type(error).__name__}: {' '.join(str(error).split())}); get the model again"
        )
        raise ManifestError(msg) from error
    if kind != CHECKPOINTS[0]:
        notes.append(f"weights are those of {kind}, since no fold has {CHECKPOINTS[0]}")
    manifest = change(manifest)
    if manifest.nnunet is not None:
        manifest = replace(manifest, nnunet=replace(manifest.nnunet, folds=len(checkpoints)))
    networks = [_fill(manifest, content, each.parent.name) for content, each in zip(checkpoints, files, strict=True)]
    network = networks[0] if len(networks) == 1 else Ensemble(networks, apart=True).eval()
    return put_in_place(
        source or model.path, "nnunet", output, manifest, network, notes,
        networks=len(networks), overwrite=overwrite, watch=watch,
    )  # fmt: skip


def _read_checkpoint(path: Path) -> Mapping[str, Any]:
    content = read_content(path)
    if not isinstance(content, Mapping) or "network_weights" not in content:
        msg = f"{path} is no checkpoint of nnU-Net v2: it holds no 'network_weights'; give the file that it wrote"
        raise WeightsError(msg)
    return {key: content[key] for key in _READ if key in content}  # the optimiser's state would be held for every fold


def _manifest(model: ModelFolder, checkpoint: Mapping[str, Any], choices: Choices) -> tuple[ModelManifest, list[str]]:
    notes: list[str] = []
    began = checkpoint.get("init_args") or {}
    name = str(began.get("configuration") or model.name)
    if name != model.name:
        _check_renamed(model, name)
        notes.append(f"configuration {name}, as its checkpoint says; the folder is called {model.path.name}")
    trainer = str(checkpoint.get("trainer_name") or model.path.name.partition("__")[0])
    stated = configuration(model.plans, name, model.path)
    rule = read_rule(model.plans, stated)
    outputs = read_outputs(model.dataset)
    channels = choices.channels or read_channels(model.dataset)
    if stated.get("previous_stage"):
        if outputs.values is not None and set(outputs.values) != set(range(1, outputs.foreground + 1)):
            msg = (
                f"{model.path}: regions_class_order {list(outputs.values)} of a cascade: expected the labels 1 to "
                f"{outputs.foreground} in any order, which its second stage is shown; this model is not imported"
            )
            raise ManifestError(msg)
        rule = replace(rule, previous_labels=outputs.foreground)
    by_batch = any(str(key).endswith(".running_mean") for key in checkpoint["network_weights"])
    inputs = len(channels) + rule.previous_labels
    network, arguments = read_architecture(stated, inputs, outputs.count, by_batch=by_batch)
    patch = [int(size) for size in stated["patch_size"]]
    is_flat = len(patch) == 2
    if is_flat:
        patch.insert(0, 1)
    labels = choices.labels or label_specs(outputs.names, outputs.values)
    notes += [f"{each.name}: {each.type.meaning} ({each.type.value})" for each in labels]
    dataset = str(model.plans.get("dataset_name") or model.path.parent.name)
    title = choices.title or f"{dataset} ({name})"
    mirrored = checkpoint.get("inference_allowed_mirroring_axes") or ()
    manifest = ModelManifest(
        model_id=choices.model_id,
        title=title,
        version="1.0.0",
        description=str(model.dataset.get("description") or f"nnU-Net v2 model of {dataset}, {name}, {trainer}."),
        network=network,
        arguments=arguments,
        labels=labels,
        overlapping=outputs.overlapping,
        channels=channels,
        intensity=IntensityRule(kind="none"),
        spacing_mm=None if is_flat else rule.spacing_mm,
        window_shape=(patch[0], patch[1], patch[2]),
        slices=SliceRule(axis=0) if is_flat else None,
        overlap=0.5,
        nnunet=rule,
        mirror_axes=tuple(int(axis) + is_flat for axis in mirrored),
        anatomy=choices.anatomy or dataset,
        intended_use="Not stated by its authors.",
        licence=choices.licence or str(model.dataset.get("licence") or "Not stated by its authors."),
        authors="Not stated.",
        training_data=f"{dataset}, {model.dataset.get('numTraining', 'an unknown number of')} cases",
        references=tuple(filter(None, [str(model.dataset.get("reference") or "")])),
    )
    return manifest, notes


def _fill(manifest: ModelManifest, checkpoint: Mapping[str, Any], source: str) -> nn.Module:
    """Build the network and fill it; what a checkpoint repeats under other names must repeat it exactly."""
    state = {_plain_name(key): value for key, value in weights_in(checkpoint["network_weights"]).items()}
    try:
        with torch.device("meta"):  # which takes no memory, whatever size the plans say
            wanted = build_any(manifest.network, **manifest.arguments).state_dict()
    except ValueError as error:
        raise ManifestError(str(error)) from error
    stored: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key if key in wanted else _alias(key, wanted)
        if name in stored and not torch.equal(stored[name], value):
            msg = f"{source}: {key} repeats {name} with other numbers; the checkpoint is damaged, get it again"
            raise WeightsError(msg)
        stored[name] = value
    asked, held = (sum(each.numel() for each in tensors.values()) for tensors in (wanted, stored))
    if asked > 2 * held + _FEW:
        msg = f"{source}: the plans describe a network of {asked} weights, the checkpoint holds {held}; get it again"
        raise WeightsError(msg)
    return fill_network(build_any(manifest.network, **manifest.arguments), stored, source)


def _plain_name(key: str) -> str:
    while prefix := next((prefix for prefix in _WRAPPED if key.startswith(prefix)), ""):
        key = key.removeprefix(prefix)
    return key


def _alias(key: str, wanted: Container[str]) -> str:
    for shared, kept in _ALIASES:
        key = key.replace(shared, kept)
    names = [key.replace(".norm.", place) for place in _NORMS]
    return next((name for name in names if name in wanted), key)


def _check_renamed(model: ModelFolder, name: str) -> None:
    """Refuse a cascade whose folders are called otherwise: its stages are found by their names."""
    own = configuration(model.plans, name, model.path)
    if own.get("previous_stage") or model.previous_stage:
        msg = f"{model.path} holds the configuration {name} of a cascade; give the folder that name after '__'"
        raise ManifestError(msg)

"""An existing MONAI bundle becomes one of ours; what its files cannot say is asked for, what is assumed is told."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.bundles.build import INNER, LEFT_OUT, build_any
from medseg.bundles.importing.archive import LARGEST_TEXT, open_folder
from medseg.bundles.importing.checkpoint import read_state
from medseg.bundles.importing.choices import Choices, Imported
from medseg.bundles.importing.config_reader import Config, NotALiteral, read_config
from medseg.bundles.importing.monai_intensity import steps_of
from medseg.bundles.importing.monai_metadata import count_outputs, read_channels, read_labels, text
from medseg.bundles.importing.monai_network_def import read_network
from medseg.bundles.importing.monai_outputs import Inferer, read_postprocessing, read_windows
from medseg.bundles.importing.monai_preprocessing import Preparation, read_preprocessing
from medseg.bundles.importing.monai_weights import find_weights, known_calls
from medseg.bundles.importing.put_in_place import Watch, ignore_stage, put_in_place
from medseg.bundles.json_file import read_object
from medseg.bundles.weights import fill_network
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntensityRule, ModelManifest, SliceRule
from medseg.spec.monai import MonaiRule


def import_monai_bundle(
    path: Path,
    output: Path,
    choices: Choices,
    *,
    overwrite: bool = False,
    scratch: Path | None = None,
    watch: Watch = ignore_stage,
) -> Imported:
    """Import a bundle: nothing of it is run, every weight is checked, one window is tried before anything is written.

    Args:
        path: the bundle's folder, or its ZIP archive.
        output: folder of the new bundle.
        choices: what is not to be taken from the bundle.
        overwrite: replace a folder that is there.
        scratch: folder in which an archive is unpacked; None: the system's.
        watch: hears what is about to be done.

    Raises:
        ManifestError: when the archive is unsafe, or the bundle says something that is not understood or has no field
            in a manifest; the message names the place and the choice that helps.
        WeightsError: when the weights would run code, or do not fit the network.
        OutputExists: as ``write_bundle`` raises it.
    """
    with tempfile.TemporaryDirectory(prefix="medseg-import-", dir=scratch) as unpacked:
        watch("unpack")
        folder = open_folder(path, Path(unpacked))
        watch("open")
        stated = read_object(folder / "configs" / "metadata.json")
        config = read_config(folder, known_calls(folder))
        manifest, notes = _manifest(stated, config, choices, folder)
        try:
            network = build_any(manifest.network, **manifest.arguments)
        except ValueError as error:
            raise ManifestError(str(error)) from error
        weights = find_weights(folder, config)
        inner = INNER if LEFT_OUT in manifest.arguments else ""
        state = {f"{inner}{name}": tensor for name, tensor in read_state(weights).items()}
        fill_network(network, state, weights.name)
        return put_in_place(
            path, "monai", output, manifest, network, notes,
            licence_text=_licence_text(folder) or "", overwrite=overwrite, watch=watch,
        )  # fmt: skip


def _manifest(
    stated: Mapping[str, Any], config: Config, choices: Choices, folder: Path
) -> tuple[ModelManifest, list[str]]:
    network, arguments, notes = read_network(config)
    outputs = count_outputs(stated) if choices.labels is None else len(choices.labels)
    afterwards = read_postprocessing(config, outputs, notes)
    overlap, overlapping = afterwards.overlap, None
    labels = choices.labels or read_labels(stated, overlap_from=None if overlap is None else overlap.first)
    if overlap is not None:
        labels, overlapping = overlap.labels(labels)
        arguments |= {LEFT_OUT: overlap.first} if overlap.first else {}
    try:
        preparation = read_preprocessing(config, "preprocessing")
    except NotALiteral as error:
        preparation = Preparation(unread=[("intensity", str(error))])
    if preparation.empty_channels < 0:  # clicks for each label and for the background
        preparation.empty_channels = len(labels) + 1
    notes += preparation.notes
    rule = _rule(preparation, choices, notes)
    channels = choices.channels or read_channels(
        stated, notes, names=preparation.channel_names, empty=rule.empty_channels
    )
    inferer = Inferer(config, notes)
    slices = _slices(arguments, choices, inferer, rule)
    resized = None if rule.resize == "no" else preparation.size
    windows = read_windows(inferer, stated, choices.window_shape, slices, resized)
    rule = replace(rule, blend=windows.blend, padding=windows.padding, answers=afterwards.answers)
    title = choices.title or text(stated, "name") or folder.name
    references = stated.get("references")
    entries = references if isinstance(references, list) else [references]
    manifest = ModelManifest(
        model_id=choices.model_id,
        title=title,
        version=text(stated, "version") or "1.0.0",
        description=text(stated, "description") or title,
        network=network,
        arguments=arguments,
        labels=labels,
        channels=channels,
        orientation=choices.orientation or preparation.orientation or "RAS",
        spacing_mm=choices.spacing_mm or preparation.spacing_mm,
        intensity=IntensityRule(kind="none"),
        monai=rule,
        window_shape=windows.shape,
        slices=slices,
        overlap=windows.overlap,
        overlapping=overlapping,
        postprocess=afterwards.rule(len(labels), notes),
        anatomy=choices.anatomy or text(stated, "task") or title,
        intended_use=text(stated, "intended_use") or "Not stated by its authors.",
        licence=choices.licence or text(stated, "copyright") or "Not stated by its authors.",
        authors=text(stated, "authors") or "Not stated.",
        training_data=text(stated, "data_source") or "Not stated by its authors.",
        references=tuple(name for entry in entries if (name := str(entry or "").strip())),
    )
    return manifest, notes


def _rule(preparation: Preparation, choices: Choices, notes: list[str]) -> MonaiRule:
    """How images are prepared, with what a person chose in the place of what the bundle says."""
    given = {
        "intensity": choices.intensity is not None,
        "spacing": choices.spacing_mm is not None,
        "orientation": choices.orientation is not None,
    }
    notes += [f"replaced by --{flag}: {step}" for flag, step in preparation.unread if given[flag]]
    if open_steps := [(flag, step) for flag, step in preparation.unread if not given[flag]]:
        flags = " and ".join(dict.fromkeys(f"--{flag}" for flag, _ in open_steps))
        steps = "; ".join(step for _, step in open_steps)
        msg = f"steps of the preprocessing that are not understood: {steps}; say with {flags} what they amount to"
        raise ManifestError(msg)
    rule = preparation.rule()
    if choices.intensity is not None:
        chosen, box = steps_of(choices.intensity), rule.foreground
        box = None if box is None else replace(box, after=len(chosen) if box.resampled else 0)
        rule = replace(rule, steps=chosen, resampled_after=0, foreground=box)
    elif not rule.steps:
        notes.append("the bundle changes no intensities, and neither will medseg")
    if choices.orientation is not None:
        rule = replace(rule, reorients=True)
    if not rule.reorients:
        notes.append("images keep the axes they have, as in the bundle, which turns them to no orientation")
    return rule if choices.spacing_mm is None else replace(rule, resize="no")


def _slices(arguments: Mapping[str, Any], choices: Choices, inferer: Inferer, rule: MonaiRule) -> SliceRule | None:
    if arguments.get("spatial_dims", 3) != 2:
        return None
    return choices.slices or SliceRule(axis=inferer.slice_axis(), fit="windows" if rule.resize == "no" else "resize")


def _licence_text(folder: Path) -> str | None:
    for path in sorted(folder.glob("LICEN[CS]E*")):
        if path.is_file() and path.stat().st_size <= LARGEST_TEXT:
            return path.read_text(encoding="utf-8", errors="replace")
    return None

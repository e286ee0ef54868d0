"""An existing MONAI bundle becomes one of ours; what its files cannot say is asked for, what is assumed is told."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.bundles.build import build_any
from medseg.bundles.importing.archive import LARGEST_TEXT, open_folder
from medseg.bundles.importing.checkpoint import read_state
from medseg.bundles.importing.choices import Choices, Imported, default_slices
from medseg.bundles.importing.config_reader import Config, NotALiteral, read_config
from medseg.bundles.importing.monai_network_def import read_network
from medseg.bundles.importing.monai_outputs import read_postprocessing, read_windows
from medseg.bundles.importing.monai_preprocessing import Preparation, read_preprocessing
from medseg.bundles.importing.put_in_place import Watch, ignore_stage, put_in_place
from medseg.bundles.json_file import read_object
from medseg.bundles.label_specs import label_specs
from medseg.bundles.weights import fill_network
from medseg.spec.errors import ManifestError, WeightsError
from medseg.spec.manifest import ChannelSpec, IntensityRule, LabelSpec, ModelManifest, SliceRule

_WEIGHTS = ("model.safetensors", "model.pt", "model.pth")
_MODALITIES = {"CT": "CT", "MR": "MR", "PET": "PT", "PT": "PT", "US": "US", "ULTRASOUND": "US"}


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
        manifest, notes = _manifest(stated, read_config(folder), choices, folder)
        try:
            network = build_any(manifest.network, **manifest.arguments)
        except ValueError as error:
            raise ManifestError(str(error)) from error
        weights = _weights(folder)
        fill_network(network, read_state(weights), weights.name)
        return put_in_place(
            path, "monai", output, manifest, network, notes,
            licence_text=_licence_text(folder) or "", overwrite=overwrite, watch=watch,
        )  # fmt: skip


def _manifest(
    stated: Mapping[str, Any], config: Config, choices: Choices, folder: Path
) -> tuple[ModelManifest, list[str]]:
    network, arguments, notes = read_network(config)
    channels = choices.channels or _channels(stated, notes)
    labels = choices.labels or _labels(stated)
    try:
        preparation = read_preprocessing(config, "preprocessing", len(channels))
    except NotALiteral as error:
        preparation = Preparation(len(channels), unread=[("intensity", str(error))])
    notes += preparation.notes
    orientation = choices.orientation or preparation.orientation or "RAS"
    slices = _slices(arguments, choices, orientation, notes)
    window, overlap = read_windows(config, stated, choices.window_shape, slices, notes)
    postprocess = read_postprocessing(config, len(labels), notes)
    title = choices.title or _text(stated, "name") or folder.name
    if preparation.orientation is None and choices.orientation is None:
        notes.append("the bundle turns images to no fixed orientation; RAS is assumed")
    references = stated.get("references")
    entries = references if isinstance(references, list) else [references]
    manifest = ModelManifest(
        model_id=choices.model_id,
        title=title,
        version=_text(stated, "version") or "1.0.0",
        description=_text(stated, "description") or title,
        network=network,
        arguments=arguments,
        labels=labels,
        channels=channels,
        orientation=orientation,
        spacing_mm=choices.spacing_mm or preparation.spacing_mm,
        intensity=_intensity(preparation, choices, notes),
        crop_to_body=preparation.crop_to_body,
        window_shape=window,
        slices=slices,
        overlap=overlap,
        postprocess=postprocess,
        anatomy=choices.anatomy or _text(stated, "task") or title,
        intended_use=_text(stated, "intended_use") or "Not stated by its authors.",
        licence=choices.licence or _text(stated, "copyright") or "Not stated by its authors.",
        authors=_text(stated, "authors") or "Not stated.",
        training_data=_text(stated, "data_source") or "Not stated by its authors.",
        references=tuple(text for entry in entries if (text := str(entry or "").strip())),
    )
    return manifest, notes


def _intensity(preparation: Preparation, choices: Choices, notes: list[str]) -> IntensityRule:
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
    if choices.intensity is not None:
        return choices.intensity
    if preparation.intensity is None:
        notes.append("the bundle changes no intensities, and neither will medseg")
        return IntensityRule(kind="none")
    return preparation.intensity


def _slices(arguments: Mapping[str, Any], choices: Choices, orientation: str, notes: list[str]) -> SliceRule | None:
    if arguments.get("spatial_dims", 3) != 2:
        return None
    if choices.slices is None:
        notes.append("a 2D network: slices are read across the body's long axis; --slices changes it")
    return choices.slices or default_slices(orientation, "windows")


def _channels(stated: Mapping[str, Any], notes: list[str]) -> tuple[ChannelSpec, ...]:
    image = _format(stated, "inputs", "image")
    names = _definitions(image, "inputs", "channels")
    words = re.findall(r"[A-Za-z]+", str(image.get("modality", "")).upper())
    modality = next((found for word in words for start, found in _MODALITIES.items() if word.startswith(start)), "OT")
    if modality == "OT":
        notes.append(f"modality {image.get('modality')!r} is not known; OT (other) is written")
    return tuple(ChannelSpec(name=name, modality=modality) for name in names)


def _labels(stated: Mapping[str, Any]) -> tuple[LabelSpec, ...]:
    names = _definitions(_format(stated, "outputs", "pred"), "outputs", "labels")
    if "background" not in names[0].lower():
        msg = (
            f"network_data_format.outputs.pred.channel_def: channel 0 is {names[0]!r} and not the background; "
            "networks whose outputs overlap are not imported. If it is the background, name the labels with --labels"
        )
        raise ManifestError(msg)
    return label_specs(names[1:])


def _format(stated: Mapping[str, Any], side: str, preferred: str) -> Mapping[str, Any]:
    entries = stated.get("network_data_format")
    entries = entries.get(side) if isinstance(entries, dict) else None
    found = entries.get(preferred, next(iter(entries.values()), None)) if isinstance(entries, dict) else None
    if not isinstance(found, dict):
        msg = f"metadata.json: network_data_format.{side}.{preferred}: it is missing; use --channels and --labels"
        raise ManifestError(msg)
    return found


def _definitions(entry: Mapping[str, Any], side: str, flag: str) -> list[str]:
    """Names of the channels 0, 1, ... in order."""
    names = entry.get("channel_def")
    wanted = [str(n) for n in range(len(names))] if isinstance(names, dict) else []
    if not wanted or not isinstance(names, dict) or set(names) != set(wanted):
        msg = f"metadata.json: network_data_format.{side}: channel_def names no channels 0, 1, ...; use --{flag}"
        raise ManifestError(msg)
    if entry.get("num_channels", len(wanted)) != len(wanted):
        msg = (
            f"metadata.json: network_data_format.{side}: num_channels is {entry['num_channels']!r}, and channel_def "
            f"names {len(wanted)}; use --{flag}"
        )
        raise ManifestError(msg)
    return [str(names[n]).strip() or f"channel {n}" for n in wanted]


def _text(stated: Mapping[str, Any], name: str) -> str:
    return str(stated.get(name) or "").strip()


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / "models" / name).is_file():
            return folder / "models" / name
    found = sorted(path.name for path in (folder / "models").glob("*")) if (folder / "models").is_dir() else []
    msg = f"the bundle's models folder has none of {', '.join(_WEIGHTS)}; it holds {', '.join(found) or 'nothing'}"
    raise WeightsError(msg)


def _licence_text(folder: Path) -> str | None:
    for path in sorted(folder.glob("LICEN[CS]E*")):
        if path.is_file() and path.stat().st_size <= LARGEST_TEXT:
            return path.read_text(encoding="utf-8", errors="replace")
    return None

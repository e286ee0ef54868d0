"""What a MONAI bundle's metadata.json says of channels and labels."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medseg.bundles.label_specs import label_specs
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ChannelSpec, LabelSpec

_MODALITIES = {"CT": "CT", "MR": "MR", "PET": "PT", "PT": "PT", "US": "US", "ULTRASOUND": "US"}


def read_channels(
    stated: Mapping[str, Any], notes: list[str], *, names: Sequence[str] | None = None, empty: int = 0
) -> tuple[ChannelSpec, ...]:
    """Find the channels.

    Args:
        stated: the metadata.
        notes: receives what is assumed.
        names: of the channels, where the configuration says them.
        empty: further channels of the network's input that no image has.

    Raises:
        ManifestError: when they are not listed.
    """
    image = _format(stated, "inputs", "image")
    names = names or _definitions(image, "inputs", "channels", beside=empty)
    words = re.findall(r"[A-Za-z]+", str(image.get("modality", "")).upper())
    modality = next((found for word in words for start, found in _MODALITIES.items() if word.startswith(start)), "OT")
    if modality == "OT":
        notes.append(f"modality {image.get('modality')!r} is not known; OT (other) is written")
    return tuple(ChannelSpec(name=name, modality=modality) for name in names)


def count_outputs(stated: Mapping[str, Any]) -> int:
    """How many outputs the network has; 0 where that is not said."""
    try:
        return len(_definitions(_format(stated, "outputs", "pred"), "outputs", "labels"))
    except ManifestError:
        return 0


def read_labels(stated: Mapping[str, Any], *, overlap_from: int | None = None) -> tuple[LabelSpec, ...]:
    """Find the labels, without the background.

    Args:
        stated: the metadata.
        overlap_from: of outputs that may overlap, the first that is a label; None: the first output is the background.

    Raises:
        ManifestError: when they are not listed, or the first output is not the background.
    """
    names = _definitions(_format(stated, "outputs", "pred"), "outputs", "labels")
    if overlap_from is not None:
        return label_specs(names[overlap_from:])
    if "background" not in names[0].lower():
        msg = (
            f"network_data_format.outputs.pred.channel_def: channel 0 is {names[0]!r} and not the background. If it is "
            "the background, name the labels with --labels"
        )
        raise ManifestError(msg)
    return label_specs(names[1:])


def text(stated: Mapping[str, Any], name: str) -> str:
    """A text of the metadata, empty where there is none."""
    return str(stated.get(name) or "").strip()


def _format(stated: Mapping[str, Any], side: str, preferred: str) -> Mapping[str, Any]:
    entries = stated.get("network_data_format")
    entries = entries.get(side) if isinstance(entries, dict) else None
    found = entries.get(preferred, next(iter(entries.values()), None)) if isinstance(entries, dict) else None
    if not isinstance(found, dict):
        msg = f"metadata.json: network_data_format.{side}.{preferred}: it is missing; use --channels and --labels"
        raise ManifestError(msg)
    return found


def _definitions(entry: Mapping[str, Any], side: str, flag: str, *, beside: int = 0) -> list[str]:
    """Names of the channels 0, 1, ... in order."""
    names = entry.get("channel_def", entry.get("label_def"))
    wanted = [str(n) for n in range(len(names))] if isinstance(names, dict) else []
    if not wanted or not isinstance(names, dict) or set(names) != set(wanted):
        msg = f"metadata.json: network_data_format.{side}: channel_def names no channels 0, 1, ...; use --{flag}"
        raise ManifestError(msg)
    if entry.get("num_channels", len(wanted)) != len(wanted) + beside:
        msg = (
            f"metadata.json: network_data_format.{side}: num_channels is {entry.get('num_channels')!r}, and "
            f"channel_def names {len(wanted)}; use --{flag}"
        )
        raise ManifestError(msg)
    return [str(names[n]).strip() or f"channel {n}" for n in wanted]

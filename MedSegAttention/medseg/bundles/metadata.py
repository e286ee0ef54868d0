"""configs/metadata.json <-> ModelManifest: MONAI's fields, plus one object ``medseg`` for what MONAI does not ask."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medseg.bundles.json_file import read_object
from medseg.spec.errors import FieldError, ManifestError
from medseg.spec.fields import read_record
from medseg.spec.manifest import MedsegFields, ModelManifest

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
# what the bundle's inference.json needs in MONAI beyond its core
_MONAI_EXTRAS = ("medsegattention", "nibabel", "safetensors")
_SEE = "see Models/README.md for the format"


@dataclass(frozen=True, kw_only=True)
class MetadataFile:
    """The file as a whole: MONAI's bundle specification, field by field."""

    schema: str
    version: str
    changelog: dict[str, str]
    monai_version: str
    pytorch_version: str
    numpy_version: str
    required_packages_version: dict[str, str] = field(default_factory=dict)
    optional_packages_version: dict[str, str] = field(default_factory=dict)
    supported_apps: dict[str, Any] = field(default_factory=dict)
    name: str
    task: str
    description: str
    authors: str
    copyright: str
    data_source: str
    data_type: str = ""
    image_classes: str = ""
    label_classes: str = ""
    pred_classes: str = ""
    eval_metrics: dict[str, Any] = field(default_factory=dict)
    intended_use: str
    references: tuple[str, ...] = ()
    network_data_format: dict[str, Any]
    medseg: MedsegFields


def read_manifest(path: Path) -> ModelManifest:
    """Read a bundle's ``configs/metadata.json``.

    Args:
        path: the file.

    Raises:
        ManifestError: when the file is missing or not JSON, or a field is unknown, missing, of a wrong type or
            impossible; the message names the file, the field, what was found and what is allowed.
    """
    try:
        document = read_object(path)
    except ManifestError as error:
        msg = f"{error}; {_SEE}"
        raise ManifestError(msg) from error
    try:
        return _manifest_of(read_record(MetadataFile, document, ""))
    except (FieldError, ManifestError) as error:
        msg = f"{path}: {error}; {_SEE}"
        raise ManifestError(msg) from error


def _manifest_of(file: MetadataFile) -> ModelManifest:
    ours = {name: getattr(file.medseg, name) for name in MedsegFields.__dataclass_fields__}
    try:
        manifest = ModelManifest(
            title=file.name,
            version=file.version,
            description=file.description,
            intended_use=file.intended_use,
            authors=file.authors,
            training_data=file.data_source,
            references=file.references,
            **ours,
        )
    except ManifestError as error:
        field = f"medseg.{error.field}" if error.field in ours else {"title": "name"}.get(error.field, error.field)
        raise ManifestError(error.problem, field=field) from error
    _require_agreement(file.network_data_format, manifest)
    return manifest


def _require_agreement(stated: Mapping[str, Any], manifest: ModelManifest) -> None:
    """Refuse a ``network_data_format`` that contradicts the labels or channels listed under ``medseg``."""
    for side, key, count in (
        ("inputs", "image", len(manifest.channels)),
        ("outputs", "pred", manifest.label_count),
    ):
        path = f"network_data_format.{side}.{key}.num_channels"
        try:
            found = stated[side][key]["num_channels"]
        except (KeyError, TypeError) as error:
            msg = "this field is missing and has no default"
            raise ManifestError(msg, field=path) from error
        if found != count:
            msg = f"expected {count}, as listed under medseg, got {found!r}"
            raise ManifestError(msg, field=path)


def write_manifest(manifest: ModelManifest, path: Path) -> None:
    """Write a bundle's ``configs/metadata.json``, in one step: a reader sees the old file or the new one.

    Args:
        manifest: what to write.
        path: the file; its folder exists. One that is there is replaced, and its changelog stays.
    """
    changelog = read_record(MetadataFile, read_object(path), "").changelog if path.is_file() else {}
    document = metadata_document(manifest, changelog or {manifest.version: "First version"})
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def metadata_document(manifest: ModelManifest, changelog: Mapping[str, str]) -> dict[str, Any]:
    """Say everything in a manifest the way metadata.json does; JSON values only."""
    ours = asdict(manifest)
    optional = ("slices", "air_below", "locate", "nnunet", "monai", "overlapping", "imported", "composition")
    unsaid = {name for name in optional if ours[name] is None}
    known = [name for name in MedsegFields.__dataclass_fields__ if name not in unsaid]
    return {
        "schema": SCHEMA,
        "version": manifest.version,
        "changelog": dict(changelog),
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {name: found for name in _MONAI_EXTRAS if (found := _version(name))},
        "name": manifest.title,
        "task": f"Segmentation of {manifest.anatomy}",
        "description": manifest.description,
        "authors": manifest.authors,
        "copyright": manifest.licence,
        "data_source": manifest.training_data,
        "intended_use": manifest.intended_use,
        "references": list(manifest.references),
        "network_data_format": _network_data_format(manifest),
        "medseg": {name: _without_none(ours[name]) for name in known} | {"arguments": ours["arguments"]},
    }


def _network_data_format(manifest: ModelManifest) -> dict[str, Any]:
    both = {"spatial_shape": list(manifest.window_shape), "dtype": "float32", "is_patch_data": True}
    names = {manifest.output_of(label): label.name for label in manifest.labels}
    if manifest.overlapping is None:
        names = {0: "background"} | names
    return {
        "inputs": {
            "image": {
                "type": "image",
                "format": "magnitude",
                "modality": manifest.channels[0].modality,
                "num_channels": len(manifest.channels),
                **both,
                "value_range": [0, 1] if manifest.intensity.kind in ("clip_unit", "percentile") else [],
                "channel_def": {str(n): channel.name for n, channel in enumerate(manifest.channels)},
            }
        },
        "outputs": {
            "pred": {
                "type": "image",
                "format": "segmentation",
                "num_channels": manifest.label_count,
                **both,
                "value_range": [],
                "channel_def": {str(value): name for value, name in names.items()},
            }
        },
    }


def _without_none(value: Any) -> Any:
    """Leave out codes and numbers a manifest does not have; ``spacing_mm: null`` stays, it means something.

    So does nothing as an argument of a network, whose default is another.
    """
    if isinstance(value, dict):
        return {name: _without_none(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_without_none(entry) for entry in value]
    return value


def _version(package: str) -> str:
    """Installed version without its local part ("2.6.0+cpu" is "2.6.0"); empty when it is not installed."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ""

"""The end of every import: one window is tried, what was verified is kept, the bundle is put in place."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from torch import nn

from medseg.bundles.importing.choices import Imported
from medseg.bundles.importing.dry_window import dry_window
from medseg.bundles.write import write_bundle
from medseg.spec.events import ImportStage
from medseg.spec.imported import ImportRecord, SourceKind
from medseg.spec.manifest import ModelManifest

Watch: TypeAlias = Callable[[ImportStage], None]
"""Hears what is about to be done; what it raises ends the import, of which then nothing is left."""


def ignore_stage(_stage: ImportStage) -> None:
    """Hear nothing."""


def put_in_place(
    source: Path,
    kind: SourceKind,
    output: Path,
    manifest: ModelManifest,
    network: nn.Module,
    notes: Sequence[str],
    *,
    networks: int = 1,
    licence_text: str = "",
    overwrite: bool = False,
    watch: Watch = ignore_stage,
) -> Imported:
    """Try a filled network and write its bundle, with the record of this import.

    Args:
        source: what was handed over.
        kind: of it.
        output: folder of the new bundle.
        manifest: describes the model.
        network: in evaluation mode, every weight in place.
        notes: one sentence for each assumption.
        networks: folds that are averaged.
        licence_text: becomes ``LICENSE``; empty: what the manifest says.
        overwrite: replace a folder that is there.
        watch: hears "try" and "write".

    Raises:
        ManifestError: as ``dry_window`` raises it.
        WeightsError: as ``dry_window`` raises it.
        OutputExists: as ``write_bundle`` raises it.
    """
    watch("try")
    dry_window(network, manifest)
    watch("write")
    record = ImportRecord(
        kind=kind,
        source=source.resolve().name,
        sha256=_sha256(source) if source.is_file() else "",
        networks=networks,
        tensors=len(network.state_dict()),
        assumed=tuple(notes),
    )
    text = licence_text or f"{manifest.licence}\n"
    bundle = write_bundle(output, replace(manifest, imported=record), network, licence_text=text, overwrite=overwrite)
    return Imported(bundle, tuple(notes))


def joint_record(source: Path, stages: Iterable[ModelManifest], notes: Sequence[str]) -> ImportRecord:
    """The record of a model of several stages: their networks and tensors together.

    Args:
        source: what was handed over.
        stages: manifests of the imported ones, each with its record.
        notes: one sentence for each assumption.
    """
    records = [stage.imported for stage in stages if stage.imported is not None]
    return ImportRecord(
        kind="nnunet",
        source=source.resolve().name,
        sha256=_sha256(source) if source.is_file() else "",
        networks=sum(record.networks for record in records),
        tensors=sum(record.tensors for record in records),
        assumed=tuple(notes),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

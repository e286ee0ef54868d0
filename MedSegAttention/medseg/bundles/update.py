"""A bundle's words after it was made: metadata, MONAI config and card are written anew, the weights stay. No torch."""

import json
from pathlib import Path

from medseg.bundles.card import model_card
from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest, write_manifest
from medseg.bundles.monai_config import inference_config
from medseg.spec.manifest import ModelManifest


def update_bundle(bundle: Bundle, manifest: ModelManifest) -> Bundle:
    """Rewrite what a bundle says, after new scores, times or names of its segments."""
    write_manifest(manifest, metadata_path(bundle.folder))
    write_words(bundle.folder, manifest)
    return Bundle(bundle.folder, read_manifest(metadata_path(bundle.folder)), bundle.origin)


def write_words(folder: Path, manifest: ModelManifest) -> None:
    """Write what follows from a manifest: MONAI's config and the card; the folders for them are there."""
    config = json.dumps(inference_config(manifest), indent=2, ensure_ascii=False)
    (folder / "configs" / "inference.json").write_text(config + "\n", encoding="utf-8")
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "README.md").write_text(model_card(manifest), encoding="utf-8")

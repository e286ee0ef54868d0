"""A trained network becomes a bundle: the whole folder appears at once, or nothing does."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest, write_manifest
from medseg.bundles.update import write_words
from medseg.bundles.weights import StoredAs, load_network, save_weights
from medseg.spec.errors import OutputExists
from medseg.spec.manifest import ModelManifest


def write_bundle(
    folder: Path,
    manifest: ModelManifest,
    network: nn.Module,
    *,
    licence_text: str,
    stored_as: StoredAs = "float32",
    overwrite: bool = False,
) -> Bundle:
    """Write a model's folder in MONAI Bundle layout and read it back before it is put in place.

    Args:
        folder: of the bundle, usually ``Models/<model_id>``; its parent is made when missing.
        manifest: describes the model.
        network: built as ``manifest.network`` and ``manifest.arguments`` say.
        licence_text: becomes ``LICENSE``.
        stored_as: precision of the weights in the file.
        overwrite: replace a folder that is there.

    Returns:
        The bundle in its place.

    Raises:
        OutputExists: when the folder is there and overwriting is not allowed.
        ManifestError: when the manifest does not come back from its file as it was.
        WeightsError: when the weights cannot be stored so, or do not fit the network the manifest describes.
    """
    with drafted(folder, manifest, licence_text, overwrite=overwrite) as draft:
        (draft / "models").mkdir()
        save_weights(network, draft / "models" / "model.safetensors", stored_as=stored_as)
        load_network(Bundle(draft, read_manifest(metadata_path(draft))))
    return Bundle(folder, read_manifest(metadata_path(folder)))


def refuse_existing(folder: Path, *, overwrite: bool) -> None:
    """Refuse to replace a bundle without leave; raises ``OutputExists``."""
    if folder.exists() and not overwrite:
        msg = f"{folder} exists and is kept; choose another folder or allow overwriting"
        raise OutputExists(msg)


@contextmanager
def drafted(folder: Path, manifest: ModelManifest, licence_text: str, *, overwrite: bool) -> Iterator[Path]:
    """Write the words of a bundle in a hidden folder beside its place, and put it there when the block ends well.

    Arguments and errors as of ``write_bundle``.
    """
    refuse_existing(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        draft = Path(scratch) / "bundle"
        for name in ("configs", "docs"):
            (draft / name).mkdir(parents=True)
        write_manifest(manifest, metadata_path(draft))
        write_words(draft, manifest)
        (draft / "LICENSE").write_text(licence_text, encoding="utf-8")
        yield draft
        _put_in_place(draft, folder, Path(scratch) / "replaced")


def _put_in_place(draft: Path, folder: Path, replaced: Path) -> None:
    """Swap by renaming inside one file system; the old bundle returns if the new one cannot take its place."""
    if not folder.exists():
        draft.rename(folder)
        return
    folder.rename(replaced)
    try:
        draft.rename(folder)
    except OSError:
        replaced.rename(folder)
        raise

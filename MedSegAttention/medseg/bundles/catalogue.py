"""Which models there are: every bundle in the built-in folder, the user's folder and MEDSEG_MODELS. No torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.bundles.metadata import read_manifest
from medseg.spec.errors import ManifestError, ModelNotFound
from medseg.spec.manifest import ModelManifest

ENVIRONMENT_NAME = "MEDSEG_MODELS"
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bundle:
    """A model's folder and what it says about itself."""

    folder: Path
    manifest: ModelManifest

    @property
    def weights_path(self) -> Path:
        """The file of weights."""
        return self.folder / "models" / "model.safetensors"


@dataclass(frozen=True)
class BrokenBundle:
    """A folder that cannot be used, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Scan:
    """What lies in the searched folders: bundles by id, and what cannot be used."""

    bundles: dict[str, Bundle]
    broken: tuple[BrokenBundle, ...]


def metadata_path(folder: Path) -> Path:
    """Where a bundle describes itself."""
    return folder / "configs" / "metadata.json"


def built_in_folder() -> Path:
    """Models that come with the program: ``medseg/_models`` when installed, ``Models/`` in a source tree."""
    installed = _PACKAGE / "_models"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "Models"


def user_folder() -> Path:
    """Models a user adds: ``.medseg/models`` in the home folder, on every system; it need not exist."""
    return Path.home() / ".medseg" / "models"


def search_path() -> tuple[Path, ...]:
    """Folders searched, in order; of two bundles with one id the later is taken."""
    named = os.environ.get(ENVIRONMENT_NAME, "").split(os.pathsep)
    return (built_in_folder(), user_folder(), *(Path(name).expanduser() for name in named if name.strip()))


def scan(folders: Sequence[Path] | None = None) -> Scan:
    """Read every bundle; one that cannot be read is set aside with its reason and does not hide the others.

    Args:
        folders: each holds bundles, or is one; None: ``search_path()``.

    Returns:
        The bundles sorted by id. Folders without a ``configs`` folder, and hidden ones, are not bundles.
    """
    bundles: dict[str, Bundle] = {}
    broken: list[BrokenBundle] = []
    for root in search_path() if folders is None else folders:
        found, unusable = _scan_folder(root)
        bundles |= found
        broken += unusable
    return Scan(dict(sorted(bundles.items())), tuple(broken))


def catalogue() -> dict[str, Bundle]:
    """Every usable model by its id, sorted."""
    return scan().bundles


def template_folder(bundle: Bundle, name: str) -> Path:
    """Where the template of a model lies: among its own files, else beside the models that come with the program.

    Raises:
        ManifestError: when it is in neither place.
    """
    places = [root / "templates" / name for root in (bundle.folder, built_in_folder())]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        msg = f"{bundle.manifest.model_id} is located by the template {name!r}, but {places[0]} is not there; add it"
        raise ManifestError(msg)
    return found


def find_bundle(model_id: str) -> Bundle:
    """Look a model up by its id.

    Raises:
        ModelNotFound: when there is none; the message lists the ids and the folder to add one.
        ManifestError: when a folder of that name is there but cannot be used; the message says why.
    """
    found = scan()
    bundle = found.bundles.get(model_id)
    broken = [each for each in found.broken if each.folder.name == model_id]
    if broken and (bundle is None or _place(broken[-1].folder) > _place(bundle.folder)):
        raise ManifestError(broken[-1].reason)  # not replaced in silence by a copy it was meant to replace
    if bundle is not None:
        return bundle
    known = ", ".join(found.bundles) or "none"
    msg = f"no model is called {model_id!r}; installed: {known}; add a bundle to {user_folder()}"
    raise ModelNotFound(msg)


def open_bundle(name: str) -> Bundle:
    """A bundle by its folder or its id.

    Raises:
        ModelNotFound: when there is neither.
        ManifestError: when it cannot be used.
    """
    folder = Path(name)
    return Bundle(folder, read_manifest(metadata_path(folder))) if folder.is_dir() else find_bundle(name)


def _place(folder: Path) -> int:
    """Where on the search path a bundle lies; later places win."""
    places = [n for n, root in enumerate(search_path()) if folder in (root, root / folder.name)]
    return places[-1] if places else -1


def _scan_folder(root: Path) -> tuple[dict[str, Bundle], list[BrokenBundle]]:
    if not root.is_dir():
        optional = root in (built_in_folder(), user_folder())
        return {}, [] if optional else [BrokenBundle(root, f"{root}, named in {ENVIRONMENT_NAME}, is not a folder")]
    found: dict[str, Bundle] = {}
    broken: list[BrokenBundle] = []
    folders = [root]
    if not (root / "configs").is_dir():
        folders = [f for f in sorted(root.iterdir()) if not f.name.startswith(".") and (f / "configs").is_dir()]
    for folder in folders:
        try:
            bundle = Bundle(folder, read_manifest(metadata_path(folder)))
        except ManifestError as error:
            broken.append(BrokenBundle(folder, str(error)))
            continue
        first = found.setdefault(bundle.manifest.model_id, bundle)
        if first is not bundle:
            model_id = bundle.manifest.model_id
            reason = f"{folder} has the id {model_id!r}, which {first.folder} has too; change one of them"
            broken.append(BrokenBundle(folder, reason))
    return found, broken

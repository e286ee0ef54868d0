"""Which models there are: those that ship, those others share, the user's own. No torch."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from medseg.bundles.metadata import read_manifest
from medseg.spec.errors import ManifestError, ModelNotFound
from medseg.spec.manifest import ModelManifest
from medseg.spec.places import expanded, home_folder

ENVIRONMENT_NAME = "MEDSEG_MODELS"  # the user's own, beside those in the home folder
SHARED_NAME = "MEDSEG_SHARED_MODELS"  # others', only read
Origin: TypeAlias = Literal["built-in", "shared", "own"]
PATIENCE_SECONDS = 5.0  # with shared folders that do not answer
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bundle:
    """A model's folder and what it says about itself."""

    folder: Path
    manifest: ModelManifest
    origin: Origin = "own"  # whose it is
    is_alone: bool = False  # named by itself in the search path, not found in a folder of models

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
    return home_folder() / ".medseg" / "models"


def own_folders() -> tuple[Path, ...]:
    """Where the user's own models lie, in order: the home folder's, then what MEDSEG_MODELS names."""
    return (user_folder(), *_named(ENVIRONMENT_NAME))


def shared_folders(more: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Folders of models that others share, in order: what MEDSEG_SHARED_MODELS names, then ``more``."""
    return tuple(dict.fromkeys((*_named(SHARED_NAME), *more)))


def search_path(shared: Sequence[Path] = ()) -> tuple[tuple[Path, Origin], ...]:
    """Folders searched, in order, and whose they are; of two bundles with one id the later is taken."""
    return (
        (built_in_folder(), "built-in"),
        *((folder, "shared") for folder in shared_folders(shared)),
        *((folder, "own") for folder in own_folders()),
    )


def scan(folders: Sequence[Path] | None = None, *, shared: Sequence[Path] = ()) -> Scan:
    """Read every bundle; one that cannot be read is set aside with its reason and does not hide the others.

    A shared folder that does not answer in ``PATIENCE_SECONDS`` is set aside too: a network drive that is away must
    not stop who works with other models.

    Args:
        folders: each holds bundles of the user's own, or is one; None: ``search_path(shared)``.
        shared: more folders of others' models.

    Returns:
        The bundles sorted by id. Folders without a ``configs`` folder, and hidden ones, are not bundles.
    """
    if folders is not None:
        return merged([scan_folder(root, "own") for root in folders])
    started = [FolderScan(root) for root in shared_folders(shared)]
    built_in, own = scan_folder(built_in_folder(), "built-in"), [scan_folder(root, "own") for root in own_folders()]
    end = time.monotonic() + PATIENCE_SECONDS
    for each in started:
        each.wait(max(0.0, end - time.monotonic()))
    return merged([built_in, *(each.answer for each in started), *own])


def merged(scans: Iterable[Scan]) -> Scan:
    """Several scans as one; of two bundles with one id the later is taken."""
    bundles: dict[str, Bundle] = {}
    broken: list[BrokenBundle] = []
    for each in scans:
        bundles |= each.bundles
        broken += each.broken
    return Scan(dict(sorted(bundles.items())), tuple(broken))


class FolderScan:
    """A scan of a shared folder in a thread of its own: whoever asks is not held up by a drive that does not answer.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._found: Scan | None = None
        self._thread = threading.Thread(target=self._run, name=f"models in {root}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether there is an answer."""
        self._thread.join(seconds)
        return self._found is not None

    @property
    def answer(self) -> Scan:
        """What was found; until then the sentence that the folder has not answered."""
        if self._found is not None:
            return self._found
        reason = (
            f"{self.root}, a shared folder of models, has not answered yet; its models are missing from the list: "
            f"check the network drive, or take the folder out of {SHARED_NAME} or the setting"
        )
        return Scan({}, (BrokenBundle(self.root, reason),))

    def _run(self) -> None:
        self._found = scan_folder(self.root, "shared")


def catalogue(shared: Sequence[Path] = ()) -> dict[str, Bundle]:
    """Every usable model by its id, sorted."""
    return scan(shared=shared).bundles


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


def find_bundle(model_id: str, shared: Sequence[Path] = ()) -> Bundle:
    """Look a model up by its id.

    Args:
        model_id: of the model.
        shared: more folders of others' models.

    Raises:
        ModelNotFound: when there is none; the message lists the ids and the folder to add one.
        ManifestError: when a folder of that name is there but cannot be used; the message says why.
    """
    found = scan(shared=shared)
    bundle = found.bundles.get(model_id)
    broken = [each for each in found.broken if each.folder.name == model_id]
    roots = [root for root, _ in search_path(shared)]
    if broken and (bundle is None or _place(broken[-1].folder, roots) > _place(bundle.folder, roots)):
        raise ManifestError(broken[-1].reason)  # not replaced in silence by a copy it was meant to replace
    if bundle is not None:
        return bundle
    known = ", ".join(found.bundles) or "none"
    away = "".join(f"; {each.reason}" for each in found.broken if each.folder in shared_folders(shared))
    msg = f"no model is called {model_id!r}; installed: {known}; add a bundle to {user_folder()}{away}"
    raise ModelNotFound(msg)


def open_bundle(name: str) -> Bundle:
    """A bundle by its folder or its id; a folder that only has the name of a model, as one of results, is none.

    Raises:
        ModelNotFound: when there is neither.
        ManifestError: when it cannot be used.
    """
    folder = Path(name)
    is_meant = folder.name != name or metadata_path(folder).is_file()
    return Bundle(folder, read_manifest(metadata_path(folder))) if is_meant and folder.is_dir() else find_bundle(name)


def _named(variable: str) -> tuple[Path, ...]:
    names = os.environ.get(variable, "").split(os.pathsep)
    return tuple(expanded(name) for name in names if name.strip())


def _place(folder: Path, roots: Sequence[Path]) -> int:
    """Where on the search path a bundle lies; later places win."""
    places = [n for n, root in enumerate(roots) if folder in (root, root / folder.name)]
    return places[-1] if places else -1


def scan_folder(root: Path, origin: Origin) -> Scan:
    """Read the bundles in one folder, or the one that it is; a folder that cannot be read is said."""
    try:
        return _scan_folder(root, origin)
    except OSError as error:  # no permission, a drive that went away
        reason = f"{root}, a folder of models, cannot be read ({error.strerror}); check its permissions and its drive"
        return Scan({}, (BrokenBundle(root, reason),))


def _scan_folder(root: Path, origin: Origin) -> Scan:
    if not root.is_dir():
        optional = root in (built_in_folder(), user_folder())
        return Scan({}, () if optional else (BrokenBundle(root, _absent(root, origin)),))
    found: dict[str, Bundle] = {}
    broken: list[BrokenBundle] = []
    folders, is_alone = [root], (root / "configs").is_dir()
    if not is_alone:
        folders = [f for f in sorted(root.iterdir()) if not f.name.startswith(".") and (f / "configs").is_dir()]
    for folder in folders:
        try:
            bundle = Bundle(folder, read_manifest(metadata_path(folder)), origin, is_alone)
        except ManifestError as error:
            broken.append(BrokenBundle(folder, str(error)))
            continue
        first = found.setdefault(bundle.manifest.model_id, bundle)
        if first is not bundle:
            model_id = bundle.manifest.model_id
            reason = f"{folder} has the id {model_id!r}, which {first.folder} has too; change one of them"
            broken.append(BrokenBundle(folder, reason))
    return Scan(found, tuple(broken))


def _absent(root: Path, origin: Origin) -> str:
    if origin == "own":
        return f"{root}, named in {ENVIRONMENT_NAME}, is not a folder"
    return (
        f"{root}, a shared folder of models, is not there; check the path and the network drive, or take it out of "
        f"{SHARED_NAME} or the setting"
    )

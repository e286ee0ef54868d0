"""What may be done to a model: only to one of the user's own, never to one that ships or that others share."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from medseg.bundles.catalogue import Bundle, metadata_path, own_folders, scan_folder
from medseg.bundles.metadata import read_manifest
from medseg.spec.errors import JobError, MedSegError, OutputExists
from medseg.spec.fields import listed

REMOVED = ".removed"  # beside the models: hidden, so that no catalogue looks into it, and one rename away


def require_own(bundle: Bundle) -> None:
    """Refuse to change a model that is not the user's.

    Raises:
        JobError: says whose it is.
    """
    whose = {
        "built-in": "comes with the program",
        "shared": "lies in a shared folder, which is only read",
    }
    if bundle.origin in whose:
        msg = (
            f"{bundle.manifest.model_id} {whose[bundle.origin]} ({bundle.folder}) and is not changed; copy its folder "
            "to your own models under another id"
        )
        raise JobError(msg)


def removed_place(bundle: Bundle) -> Path:
    """Where ``remove_bundle`` puts a model."""
    return bundle.folder.parent / REMOVED / bundle.folder.name


def remove_bundle(bundle: Bundle) -> Path:
    """Take a model out of the list; nothing is deleted, its folder goes to ``.removed`` beside the others.

    Returns:
        Where it lies now. Moved back, it is in the list again; deleted there, it is gone.

    Raises:
        JobError: if the model is not the user's own, or is named by itself as a folder of models.
        OSError: if the system refuses, e.g. because another program holds one of its files.
    """
    require_own(bundle)
    if bundle.is_alone:
        msg = f"{bundle.folder} is named by itself as a folder of models; take it out of the variable or the setting"
        raise JobError(msg)
    place = removed_place(bundle)
    place.parent.mkdir(exist_ok=True)
    stamp = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = [place.name, f"{place.name}-{stamp}", *(f"{place.name}-{stamp}-{n}" for n in range(2, 100))]
    free = next((place.with_name(name) for name in names if not place.with_name(name).exists()), None)
    if free is None:
        msg = f"{place.parent} holds a hundred removed models of this name; delete some"
        raise OutputExists(msg)
    bundle.folder.rename(free)
    return free


def removed_bundles() -> tuple[Bundle, ...]:
    """The removed models of the user's own that are whole; of several of one name the latest first."""
    places = [place for folder in own_folders() for place in (folder / REMOVED).glob("*") if place.is_dir()]
    found = []
    for place in sorted(places, key=lambda each: each.name, reverse=True):  # names of later ones end with their time
        with suppress(MedSegError, OSError):  # what cannot be read is left where it is
            found.append(_opened(place))
    return tuple(found)


def restore_bundle(name: str) -> Bundle:
    """Bring a removed model back into the list.

    Args:
        name: its id, of which the latest removed is taken; or the name of its folder in ``.removed``.

    Returns:
        The model where it lies again.

    Raises:
        JobError: if no such model was removed; lists those that were.
        OutputExists: if there is a model of its id again, or a folder in its place.
        OSError: if the system refuses.
    """
    removed = removed_bundles()
    named = [each for each in removed if each.folder.name == name and each.manifest.model_id != name]
    chosen = next(iter([*named, *(each for each in removed if each.manifest.model_id == name)]), None)
    if chosen is None:
        have = listed([each.folder.name for each in removed], 10) or "none"
        msg = f"no model called {name!r} was removed; removed ones: {have}"
        raise JobError(msg)
    model_id, beside = chosen.manifest.model_id, chosen.folder.parent.parent
    target = beside / model_id
    if target.exists() or model_id in scan_folder(beside, "own").bundles:
        msg = f"{beside} holds a model {model_id} again; remove that one first, and the other can come back"
        raise OutputExists(msg)
    chosen.folder.rename(target)
    return _opened(target)


def _opened(folder: Path) -> Bundle:
    return Bundle(folder, read_manifest(metadata_path(folder)))

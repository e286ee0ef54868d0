"""What may be done to a model: only to one of the user's own, never to one that ships or that others share."""

from datetime import datetime
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.spec.errors import JobError, OutputExists

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

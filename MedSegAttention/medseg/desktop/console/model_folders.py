"""Which models a call from the console may name: those of the panel's setting and of the call's own folders too."""

import logging
from collections.abc import Sequence
from pathlib import Path

from medseg.bundles.catalogue import Bundle, find_bundle, scan
from medseg.desktop.state.preferences import stored_preferences
from medseg.spec.places import expanded


def shared_places(more: Sequence[str | Path] | str | Path = ()) -> tuple[Path, ...]:
    """Folders that others share: those of the panel's setting, then those that a call names, one or several."""
    named = [more] if isinstance(more, str | Path) else list(more)
    return (*stored_preferences().model_folders, *(expanded(each) for each in named))


def find_model(model: str, more: Sequence[str | Path] | str | Path = ()) -> Bundle:
    """The bundle of an id; raises as ``find_bundle`` does."""
    return find_bundle(model, shared_places(more))


def model_titles(more: Sequence[str | Path] | str | Path = ()) -> dict[str, str]:
    """Ids and titles of all models; what is broken or cannot be reached is logged."""
    found = scan(shared=shared_places(more))
    for each in found.broken:
        logging.warning(each.reason)
    return {model_id: bundle.manifest.title for model_id, bundle in found.bundles.items()}

"""The network of a MONAI bundle: its class and arguments out of the configuration, as a manifest names them."""

from typing import Any

from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.bundles.monai_networks import ALLOWED, PREFIX, allowed_arguments, monai_choices
from medseg.spec.errors import ManifestError

_PLACES = ("network_def", "network", "net", "model")
_RENAMED = {"dimensions": "spatial_dims", "pos_embed": "proj_type"}  # MONAI's older names
_GONE = frozenset({"img_size"})  # arguments that newer versions do without
_OWNERS = {"UNesT": "scripts.networks."}  # whose class is known, where it is a bundle's own; it is written anew
_SPACE = frozenset({"_target_", "device"})  # of DiNTS' space: its class, and where it is searched


def read_network(config: Config) -> tuple[str, dict[str, Any], list[str]]:
    """Find the network's class and arguments.

    Returns:
        The name as a manifest gives it, e.g. "monai:SegResNet"; the arguments; and notes on those that the installed
        MONAI calls otherwise or has no more.

    Raises:
        ManifestError: when no network is described, its class is not allowed, or an argument is an expression.
    """
    place, definition = _definition(config)
    target = str(definition["_target_"])
    if target.startswith("medseg."):
        msg = f"{config.path}: {place}: this is a bundle of medseg already; copy its folder to the other models"
        raise ManifestError(msg)
    name = next((name for name in ALLOWED if name.casefold() == target.rpartition(".")[2].casefold()), None)
    if name is None or ("." in target and not target.startswith(_OWNERS.get(name, "monai.networks.nets."))):
        msg = f"{config.path}: {place}._target_: {target!r} is not imported; the known ones are {monai_choices()}"
        raise ManifestError(msg)
    given = {str(key): value for key, value in definition.items() if not str(key).startswith("_")}
    if name == "DiNTS":
        space = config.follow(given.get("dints_space"), f"{place}.dints_space")
        given["dints_space"] = {k: v for k, v in space.items() if k not in _SPACE} if isinstance(space, dict) else space
    arguments, notes = _in_todays_words(name, {key: config.resolve(v, f"{place}.{key}") for key, v in given.items()})
    return PREFIX + name, arguments, notes


def _definition(config: Config) -> tuple[str, dict[str, Any]]:
    for place in _PLACES:
        if place not in config:
            continue
        try:
            found = config.follow(config.content[place], place)
        except NotALiteral:
            continue
        if isinstance(found, dict) and isinstance(found.get("_target_"), str):
            return place, found
    msg = f"{config.path}: none of {', '.join(_PLACES)} is an object with a _target_; write the network's class there"
    raise ManifestError(msg)


def _in_todays_words(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    known, notes = allowed_arguments(name), []
    if arguments.pop("pretrained", False):
        notes.append("the network's argument pretrained is left out: the bundle brings all weights itself")
    for old in [key for key in arguments if key not in known]:
        value, new = arguments.pop(old), _RENAMED.get(old)
        if new is not None and new in known and new not in arguments:
            arguments[new] = value
            notes.append(f"the network's argument {old} is called {new} now")
        elif old in _GONE:
            notes.append(f"the network's argument {old} is left out: it does not exist any more")
        else:
            arguments[old] = value  # refused, with the known ones listed, when the network is built
    return arguments, notes

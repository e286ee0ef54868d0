"""Official weights into our networks, name by name, as the parity tests need them."""

from types import ModuleType

from torch import nn

from medseg.bundles.official import dlka_net, ultralight_unet

_NAMES_SHOWN = 5
_SIDE_HEADS = "side_heads."


def load_checked(network: nn.Module, state, *, optional="-"):
    """Loads weights under our names; entries that start with ``optional`` are left out where the network has none.

    Raises:
        ValueError: names the missing and unexpected entries and the wrong shapes (the first five of each).
    """
    expected = network.state_dict()
    wanted = {key: value for key, value in state.items() if key in expected or not key.startswith(optional)}
    shapes = [
        f"{key} {tuple(wanted[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in wanted and wanted[key].shape != expected[key].shape
    ]
    problems = {
        "missing": [key for key in expected if key not in wanted],
        "unexpected": [key for key in wanted if key not in expected],
        "of another shape": shapes,
    }
    found = "; ".join(f"{what}: {_listed(names)}" for what, names in problems.items() if names)
    if found:
        msg = f"the weights do not fit the network, {found}; build it with the arguments the weights were trained with"
        raise ValueError(msg)
    network.load_state_dict(wanted)


def load_official(names: ModuleType, network: nn.Module, state):
    """Load a whole official state dict by the names of a module of ``bundles.official``.

    Side heads are loaded where both have them; those that are ours alone keep the values they have.
    """
    if names is ultralight_unet:
        load_checked(network, names.from_official(state, side_heads=True), optional=_SIDE_HEADS)
    elif names is dlka_net:
        load_checked(network, names.from_official(state), optional=_SIDE_HEADS)
    else:
        kept = {key: value for key, value in network.state_dict().items() if key.startswith(_SIDE_HEADS)}
        load_checked(network, names.from_official(state) | kept)


def load_official_encoder(names: ModuleType, network: nn.Module, state):
    """Load the encoder of an official state dict, whole or of the encoder alone; the rest keeps its values."""
    kept = {key: value for key, value in network.state_dict().items() if not key.startswith("encoder.")}
    encoder = {key: value for key, value in names.from_official(state).items() if key.startswith("encoder.")}
    load_checked(network, kept | encoder)


def _listed(names):
    rest = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + rest

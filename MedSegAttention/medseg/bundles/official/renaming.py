"""State-dict names translated both ways by pairs of dotted fragments, and loaded with every difference named."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor, nn

Value = TypeVar("Value")
Rules = Sequence[tuple[str, str]]
"""Pairs (official fragment, our fragment), the more specific first; ``#`` stands for a number and keeps it."""

_NAMES_SHOWN = 5


def to_ours(state: Mapping[str, Value], rules: Rules) -> dict[str, Value]:
    """Official names to ours; DataParallel's ``module.`` in front is dropped, names without a rule stay."""
    return _rename({key.removeprefix("module."): value for key, value in state.items()}, rules)


def to_theirs(state: Mapping[str, Value], rules: Rules) -> dict[str, Value]:
    """Our names to the official ones."""
    return _rename(state, [(ours, theirs) for theirs, ours in rules])


def load_checked(network: nn.Module, state: Mapping[str, Tensor], *, optional: str) -> None:
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


def _rename(state: Mapping[str, Value], rules: Rules) -> dict[str, Value]:
    """One pass over each name, so that no rule sees what another one wrote."""
    pattern = re.compile("|".join(f"(?:{_pattern(old)})" for old, _ in rules))
    table = [(re.compile(_pattern(old)), new) for old, new in rules]

    def replace(match: re.Match[str]) -> str:
        single, new = next(rule for rule in table if rule[0].match(match.string, match.start()))
        found = single.match(match.string, match.start())
        numbers = iter(found.groups() if found else ())
        return re.sub("#", lambda _: next(numbers), new)

    return {pattern.sub(replace, key): value for key, value in state.items()}


def _pattern(fragment: str) -> str:
    """The fragment between dots or at an end of a name."""
    return r"(?<![^.])" + re.escape(fragment).replace(r"\#", r"(\d+)") + r"(?![^.])"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + rest

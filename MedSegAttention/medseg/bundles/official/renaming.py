"""State-dict names translated both ways by pairs of dotted fragments."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

Value = TypeVar("Value")
Rules = Sequence[tuple[str, str]]
"""Pairs (official fragment, our fragment), the more specific first; ``#`` stands for a number and keeps it."""


def to_ours(state: Mapping[str, Value], rules: Rules) -> dict[str, Value]:
    """Official names to ours; DataParallel's ``module.`` in front is dropped, names without a rule stay."""
    return _rename({key.removeprefix("module."): value for key, value in state.items()}, rules)


def to_theirs(state: Mapping[str, Value], rules: Rules) -> dict[str, Value]:
    """Our names to the official ones."""
    return _rename(state, [(ours, theirs) for theirs, ours in rules])


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

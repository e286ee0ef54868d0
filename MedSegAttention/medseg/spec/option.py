"""What an option says about itself, beside its field: every door shows these texts and refuses by these limits."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

_COUNTS = {6: "six"}


@dataclass(frozen=True, kw_only=True)
class About:
    """One option.

    Attributes:
        help: what it does, without a full stop: the tool tip of the panel and the text of the flag.
        title: what the panel calls it.
        unit: of its numbers, in ASCII.
        low: the least that is taken; None: no limit.
        high: the most.
        values: what a text may be, or the numbers of a tuple in their order.
        keyword: how Python, the console and the shell call it; "": as the field.
        field: its name in the record.
        kind: its type without None.
        is_optional: whether None is taken, which leaves it to the model.
        default: its value where nobody chose.
    """

    help: str
    title: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    values: str = ""
    keyword: str = ""
    field: str = ""
    kind: Any = None
    is_optional: bool = False
    default: Any = None

    @property
    def rule(self) -> str:
        """What is taken, after the name of the option, e.g. "must lie in 0..0.9"."""
        if choices := self.choices:
            return f"is one of {', '.join(choices)}"
        if get_origin(self.kind) is tuple:
            count = len(get_args(self.kind))
            whole = "whole " if get_args(self.kind)[0] is int else ""
            return f"is {_COUNTS.get(count, count)} {whole}numbers {self.values}, in {self.unit}"
        if self.kind is bool:
            return "is True, False or None" if self.is_optional else "is True or False"
        if self.low is not None:
            limits = f"is at least {self.low:g}" if self.high is None else f"must lie in {self.low:g}..{self.high:g}"
            return f"{limits} {self.unit}".rstrip()
        return f"is {self.values}" if self.values else f"is a {self.kind.__name__}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that are taken; none where there is no list of them."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def takes(self, value: object) -> bool:
        """Whether a value is of the option's type and within its limits."""
        if value is None:
            return self.is_optional
        if self.choices:
            return value in self.choices
        if get_origin(self.kind) is tuple:
            kinds = get_args(self.kind)
            return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_number, value, kinds))
        if self.kind not in (int, float):
            return isinstance(value, self.kind)
        if not _is_number(value, self.kind):
            return False
        # "not below" would let a NaN pass
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)  # type: ignore[operator]


class Fault(NamedTuple):
    """A value that its option does not take."""

    name: str
    rule: str
    value: object


def option(default: object, help: str, **about: Any) -> Any:  # noqa: A002 - the name that command lines give it
    """A field of a frozen dataclass with what ``About`` says of it beside its default."""
    return field(default=default, metadata={"about": About(help=help, **about)})


@cache
def options_of(kind: type) -> dict[str, About]:
    """The options of a dataclass by the name of their field, in order; fields that are none are left out."""
    hints = get_type_hints(kind)
    found = {}
    for each in fields(kind):
        if isinstance(about := each.metadata.get("about"), About):
            hint = hints[each.name]
            is_optional = get_origin(hint) is UnionType and NoneType in get_args(hint)
            found[each.name] = replace(
                about,
                keyword=about.keyword or each.name,
                field=each.name,
                kind=get_args(hint)[0] if is_optional else hint,
                is_optional=is_optional,
                default=each.default,
            )
    return found


def keywords_of(kind: type) -> dict[str, About]:
    """The same by the keyword with which users give them."""
    return {about.keyword: about for about in options_of(kind).values()}


def faults(record: Any) -> Iterator[Fault]:
    """Every value of a record that its option does not take, in order, with the option's keyword."""
    kind: Any = type(record)
    for name, about in options_of(kind).items():
        value = getattr(record, name)
        if not about.takes(value):
            yield Fault(about.keyword, about.rule, value)


def convert_numbers(record: Any) -> None:
    """Give a frozen record of taken values Python's own numbers: NumPy's, which pass for them, are unknown to JSON."""
    kind: Any = type(record)
    for name, about in options_of(kind).items():
        value = getattr(record, name)
        if isinstance(value, tuple):
            own: Any = tuple(map(_own_number, value, get_args(about.kind)))
        else:
            own = _own_number(value, about.kind)
        object.__setattr__(record, name, own)


def _own_number(value: Any, kind: Any) -> Any:
    return kind(value) if kind in (int, float) and value is not None and type(value) not in (int, float) else value


def _is_number(value: object, kind: type) -> bool:
    return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)

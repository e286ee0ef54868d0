"""The typed reader: every way in which a JSON value can be wrong has its sentence."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from medseg.spec.errors import FieldError
from medseg.spec.fields import read_record


@dataclass(frozen=True)
class Inner:
    name: str
    kind: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.name == "bad":
            msg = "expected something good, got 'bad'"
            raise FieldError(msg, field="name")


@dataclass(frozen=True)
class Outer:
    count: int
    share: float = 0.5
    shape: tuple[int, int, int] = (1, 1, 1)
    pair: tuple[float, float] | None = None
    parts: tuple[Inner, ...] = ()
    first: Inner | None = None
    words: dict[str, str] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)
    on: bool = False


def test_every_kind_of_field_is_read_and_lists_become_tuples():
    outer = read_record(
        Outer,
        {
            "count": 2,
            "share": 1,
            "shape": [1, 2, 3],
            "pair": [1, 2.5],
            "parts": [{"name": "x", "kind": "b"}],
            "first": None,
            "words": {"a": "b"},
            "anything": {"a": [1, None]},
            "on": True,
        },
        "",
    )
    assert outer == Outer(
        2, 1.0, (1, 2, 3), (1.0, 2.5), (Inner("x", "b"),), None, {"a": "b"}, {"a": [1, None]}, on=True
    )
    assert isinstance(outer.share, float)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"count": "2"}, 'top.count: expected an integer, got "2"'),
        ({"count": True}, "top.count: expected an integer, got true"),
        ({"count": 2.0}, "top.count: expected an integer, got 2.0"),
        ({"count": None}, "top.count: expected an integer, got null"),
        ({"share": "half"}, 'top.share: expected a finite number, got "half"'),
        ({"share": False}, "top.share: expected a finite number, got false"),
        ({"shape": [1, 2]}, "top.shape: expected three integers, got [1, 2]"),
        ({"shape": [1, 2, 3.5]}, "top.shape: expected three integers, got [1, 2, 3.5]"),
        ({"pair": 1}, "top.pair: expected two numbers, got 1"),
        ({"parts": {}}, "top.parts: expected a list, got {}"),
        ({"parts": [{"name": "x"}, 5]}, "top.parts[1]: expected an object, got 5"),
        ({"parts": [{"name": "x"}, {"name": 5}]}, "top.parts[1].name: expected text, got 5"),
        ({"parts": [{"name": "x", "kind": "c"}]}, 'top.parts[0].kind: expected one of a, b, got "c"'),
        ({"parts": [{"kind": "a"}]}, "top.parts[0].name: this field is missing and has no default"),
        ({"parts": [{"name": "x", "nam": 1}]}, "top.parts[0].nam: no such field; known here: name, kind"),
        ({"first": {"name": "bad"}}, "top.first.name: expected something good, got 'bad'"),
        ({"words": {"a": 1}}, "top.words.a: expected text, got 1"),
        ({"words": []}, "top.words: expected an object, got []"),
        ({"on": 1}, "top.on: expected true or false, got 1"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_found_and_what_is_allowed(changes, sentence):
    with pytest.raises(FieldError) as caught:
        read_record(Outer, {"count": 1, **changes}, "top")
    assert str(caught.value) == sentence
    assert (caught.value.field, caught.value.problem) == tuple(sentence.split(": ", 1))


def test_a_long_value_is_shortened():
    with pytest.raises(FieldError) as caught:
        read_record(Outer, {"count": "x" * 1000}, "")
    assert len(str(caught.value)) < 130

"""The value of a ``$`` expression in a MONAI configuration, worked out from its syntax tree: nothing is run.

What a configuration computes from its own values is known: literals, references to other values, arithmetic of
numbers, joined lists and texts, comparisons, ``not``/``and``/``or``, ``a if b else c``, ``x[y]`` and ``len``. Beyond
that stand a few calls that the caller names and answers itself.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_REFERENCE = re.compile(r"@(\w+(?:(?:::|#)\w+)*)")
_PLACE = "_reference_{}_"
_LONGEST = 4096  # characters of an expression
_DEEPEST = 32  # operations in operations
_LARGEST = 1e12  # of a number on the way
_MOST = 100_000  # entries of a list, characters of a text

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda part, whole: part in whole,
    ast.NotIn: lambda part, whole: part not in whole,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class NotEvaluated(ValueError):
    """An expression that only running it would tell."""


def evaluate(text: str, look_up: Callable[[str], Any], calls: Mapping[str, Callable[[Any], Any]] = {}) -> Any:
    """Work an expression out.

    Args:
        text: without its ``$``.
        look_up: gives the value of a reference, ``"a::b"`` for ``@a::b``; what it raises comes through.
        calls: functions of one argument by their dotted names, ``len`` aside; further arguments are not looked at.

    Raises:
        NotEvaluated: for anything else, and for what has no value.

    Example:
        >>> evaluate("[1.5] * 3 if @fine else 2 * @step", {"fine": False, "step": 2}.__getitem__)
        4
    """
    names: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        names.append(match[1])
        return _PLACE.format(len(names) - 1)

    if len(text) > _LONGEST:
        msg = f"it is longer than {_LONGEST} characters"
        raise NotEvaluated(msg)
    try:
        tree = ast.parse(_REFERENCE.sub(stand_in, text).strip(), mode="eval")
        references = {_PLACE.format(number): name for number, name in enumerate(names)}
        return _Evaluator(references, look_up, {"len": len, **calls}).value(tree.body, 0)
    except (SyntaxError, TypeError, KeyError, IndexError, ArithmeticError, MemoryError, RecursionError) as error:
        raise NotEvaluated(str(error)) from error


class _Evaluator:
    def __init__(
        self, references: Mapping[str, str], look_up: Callable[[str], Any], calls: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        self._references, self._look_up, self._calls = references, look_up, calls

    def value(self, node: ast.expr, depth: int) -> Any:  # noqa: C901 - one case a kind of node
        if depth > _DEEPEST:
            msg = "it is nested too deeply"
            raise NotEvaluated(msg)
        below = depth + 1
        match node:
            case ast.Constant(value=value) if isinstance(value, str | int | float | None):
                return value
            case ast.Name(id=name) if name in self._references:
                return self._look_up(self._references[name])
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self.value(part, below) for part in parts]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self.value(key, below): self.value(value, below) for key, value in pairs if key is not None}
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
                return _SIGNS[type(sign)](self.value(operand, below))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                return _computed(sign, self.value(left, below), self.value(right, below))
            case ast.Compare(left=left, ops=signs, comparators=others) if all(type(s) in _COMPARISONS for s in signs):
                return self._compared(left, signs, others, below)
            case ast.BoolOp(op=joint, values=parts):
                return self._joined(joint, parts, below)
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.value(body if self.value(test, below) else other, below)
            case ast.Subscript(value=whole, slice=place) if not isinstance(place, ast.Slice):
                return self.value(whole, below)[self.value(place, below)]
            case ast.Call(func=function, args=[argument, *_]) if _dotted(function) in self._calls:
                return self._calls[_dotted(function)](self.value(argument, below))
        msg = f"{type(node).__name__} is not worked out"
        raise NotEvaluated(msg)

    def _compared(self, left: ast.expr, signs: list[ast.cmpop], others: list[ast.expr], depth: int) -> bool:
        first = self.value(left, depth)
        for sign, other in zip(signs, others, strict=True):
            second = self.value(other, depth)
            if not _COMPARISONS[type(sign)](first, second):
                return False
            first = second
        return True

    def _joined(self, joint: ast.boolop, parts: list[ast.expr], depth: int) -> Any:
        value: Any = None
        for part in parts:
            value = self.value(part, depth)
            if bool(value) == isinstance(joint, ast.Or):
                return value
        return value


def _computed(sign: ast.operator, left: Any, right: Any) -> Any:
    """Compute with two numbers, or join two lists or texts; nothing that grows without end."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        if max(abs(left), abs(right)) > _LARGEST:
            msg = "its numbers are too large"
            raise NotEvaluated(msg)
        return _ARITHMETIC[type(sign)](left, right)
    joins = type(left) is type(right) and isinstance(left, str | list) and isinstance(sign, ast.Add)
    repeats = isinstance(sign, ast.Mult) and isinstance(left, list) and isinstance(right, int)
    if not joins and not repeats:
        msg = f"{type(left).__name__} and {type(right).__name__} are not computed with"
        raise NotEvaluated(msg)
    if (len(left) + len(right) if joins else len(left) * right) > _MOST:
        msg = "its value is too long"
        raise NotEvaluated(msg)
    return _ARITHMETIC[type(sign)](left, right)


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` as text; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name) if before := _dotted(inner):
            return f"{before}.{name}"
    return ""

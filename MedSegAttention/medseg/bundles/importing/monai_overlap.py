"""Outputs of a MONAI bundle that may overlap: a threshold each, and how the bundle paints them into one labelmap."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medseg.spec.manifest import LabelSpec, OverlapRule


@dataclass(frozen=True)
class Overlap:
    """How outputs become labels.

    Attributes:
        threshold: a probability, the sigmoid of an output, that is reached.
        painted: the outputs in the order in which they are painted, and the value of each; None: the outputs follow
            each other with 1, 2, ...
        first: outputs in front of those of labels, which are painted nowhere.
    """

    threshold: float = 0.5
    painted: tuple[tuple[int, int], ...] | None = None
    first: int = 0

    def labels(self, labels: Sequence[LabelSpec]) -> tuple[tuple[LabelSpec, ...], OverlapRule]:
        """Labels with their values, and the rule, of the outputs after ``first``."""
        painted = self.painted or [(n, n + 1) for n in range(len(labels))]
        values = {output - self.first: value for output, value in painted}
        valued = tuple(replace(label, value=values[n]) for n, label in enumerate(labels))
        return valued, OverlapRule(threshold=self.threshold, order=tuple(value for _, value in painted))


def where_chain(expression: object) -> tuple[tuple[int, int], ...] | None:
    """Read ``$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, 0))``, without running it.

    Returns:
        (output, value) in the order in which they are painted: the condition that comes first covers all others. None
        for any other expression.
    """
    if not isinstance(expression, str) or not expression.startswith("$"):
        return None
    try:
        node: ast.expr = ast.parse(expression[1:].strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError, ValueError):
        return None
    if not isinstance(node, ast.Lambda) or len(node.args.args) != 1:
        return None
    name, node, found = node.args.args[0].arg, node.body, []
    while isinstance(node, ast.Call):
        if ast.unparse(node.func) != "torch.where" or len(node.args) != 3 or node.keywords:
            return None
        condition, value, node = node.args
        output = _output(condition, name)
        if output is None or not isinstance(value, ast.Constant) or not isinstance(value.value, int):
            return None
        found.append((output, value.value))
    if not isinstance(node, ast.Constant) or node.value != 0:
        return None
    return tuple(reversed(found))


def merged_classes(count: int) -> tuple[tuple[int, int], ...]:
    """What ``MergeClassesd`` paints: each output but the first with its number, the lowest over all others."""
    return tuple((n, n) for n in range(count - 1, 0, -1))


def _output(node: ast.expr, name: str) -> int | None:
    """The n of ``x[[n]] > 0`` and of ``x[n] > 0``."""
    match node:
        case ast.Compare(
            left=ast.Subscript(
                value=ast.Name(id=found), slice=ast.List(elts=[ast.Constant(value=n)]) | ast.Constant(value=n)
            ),
            ops=[ast.Gt()],
            comparators=[ast.Constant(value=0)],
        ) if found == name and isinstance(n, int):
            return n
    return None


def is_threshold(step: Mapping[str, Any]) -> bool:
    """Whether an ``AsDiscrete`` asks every output on its own."""
    return step.get("threshold") is not None and not step.get("argmax")

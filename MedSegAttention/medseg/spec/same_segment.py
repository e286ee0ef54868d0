"""Which segments of two lists are the same anatomy: by name or code, never by number."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from medseg.spec.labels import Code, LabelSpec
from medseg.spec.sides import name_key

UNCODED = Code("SCT", "85756007", "Tissue")
"""What Slicer gives a segment without a code."""
_PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (221, 130, 101))
_SAY_NOTHING = frozenset({UNCODED.value, "123037004", "49755003", "4147007"})  # anatomical structure, morphology, mass


def same_segments(ours: Sequence[LabelSpec], theirs: Sequence[LabelSpec]) -> dict[int, int]:
    """For each of our segments that has its like among theirs, the values of both.

    Names are compared first, as they are written and then word by word ("Left kidney" is "kidney_left"); what is left
    is compared by its codes. A name or a code that two segments of one list share matches nothing.

    Example:
        >>> first, second = (named(value, name) for value, name in ((1, "Kidney_L"), (2, "liver")))
        >>> same_segments([first, second], [named(1, "Liver"), named(2, "left kidney")])
        {1: 2, 2: 1}
    """
    found: dict[int, int] = {}
    for key in (_written, _spelt, _plain, _coded):
        left = [spec for spec in ours if spec.value not in found]
        free = [spec for spec in theirs if spec.value not in found.values()]
        own, other = _unique(left, key), _unique(free, key)
        pairs = [(spec, other[each]) for each, spec in own.items() if each in other]
        found |= {one.value: two.value for one, two in pairs if _may_be_one(one, two)}
    return dict(sorted(found.items()))


def named(value: int, name: str) -> LabelSpec:
    """A segment of which only the name is known."""
    shown = name.strip() or f"label {value}"
    return LabelSpec(
        value=value, name=shown, color=_PALETTE[(value - 1) % len(_PALETTE)], category=UNCODED, type=UNCODED
    )


def listing(segments: Sequence[LabelSpec]) -> str:
    """Values and names for a message: "1 liver, 2 spleen"."""
    return ", ".join(f"{spec.value} {spec.name}" for spec in segments)


def _unique(specs: Sequence[LabelSpec], key: Callable[[LabelSpec], Hashable]) -> dict[Hashable, LabelSpec]:
    often = Counter(key(spec) for spec in specs)
    return {key(spec): spec for spec in specs if often[key(spec)] == 1 and key(spec) is not None}


def _written(spec: LabelSpec) -> Hashable:
    """The name as it is, and the side that codes say beside it."""
    return spec.name.strip().casefold(), name_key(spec)


def _plain(spec: LabelSpec) -> Hashable:
    return spec.name.strip().casefold()


def _spelt(spec: LabelSpec) -> Hashable:
    return name_key(spec) or None


def _coded(spec: LabelSpec) -> Hashable:
    """The codes of what and where, and the side that name or codes say; None where the code says nothing."""
    if spec.type.value in _SAY_NOTHING:
        return None
    codes = (spec.type, spec.region)
    return (*(None if code is None else (code.scheme, code.value) for code in codes), _sides(spec))


def _sides(spec: LabelSpec) -> tuple[str, ...]:
    return tuple(sorted({"left", "right"} & set(name_key(spec))))


def _may_be_one(first: LabelSpec, second: LabelSpec) -> bool:
    """Whether the sides of two do not contradict each other."""
    sides = _sides(first), _sides(second)
    return sides[0] == sides[1] or () in sides

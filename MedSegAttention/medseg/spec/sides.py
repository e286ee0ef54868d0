"""Which labels lie on the left or on the right, and which of them are each other's counterparts."""

import re
from collections.abc import Sequence

from medseg.spec.labels import LabelSpec

_WORDS = {"left": "right", "lh": "rh", "links": "rechts", "linke": "rechte", "gauche": "droit", "sin": "dex"}
_OPPOSITE = _WORDS | {other: word for word, other in _WORDS.items()}
_LETTERS = {"l": "r", "r": "l"}  # alone they are sides at the beginning or the end of a name only: "Kidney_L", "R lung"
_CODES = {"7771000": "24028007", "24028007": "7771000"}  # SNOMED CT: left, right


def has_side(label: LabelSpec) -> bool:
    """Whether a label is of one side of the body, by its codes or its name."""
    return _mirrored(label) != _key(label)


def counterparts(labels: Sequence[LabelSpec]) -> dict[int, int]:
    """Values of labels that change places in a mirrored patient; those without a side, or alone, are left out.

    Sides are found in names as people write them ("Left kidney", "kidney_left", "Kidney_L", "ctx-lh-insula",
    "LeftLung") and in codes with laterality; a name with a side goes before a code.
    """
    values = {_key(label): label.value for label in labels}
    found = {label.value: values.get(_mirrored(label)) for label in labels if has_side(label)}
    return {value: other for value, other in found.items() if other is not None}


def _key(label: LabelSpec) -> tuple[str, ...]:
    """What tells a label from others: the words of its name, and the side that its codes say where those do not."""
    words = _words(label.name)
    return words if _swapped(words) != words else (*words, _code(label))


def _mirrored(label: LabelSpec) -> tuple[str, ...]:
    words = _words(label.name)
    swapped = _swapped(words)
    if swapped != words:
        return swapped
    return (*words, _CODES.get(_code(label), _code(label)))


def _words(name: str) -> tuple[str, ...]:
    """Words in lower case; a capital inside begins one, and so do digits, but for those of one letter ("L1")."""
    return tuple(
        part.lower()
        for part in re.findall(r"(?<![A-Za-z])[A-Za-z]\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)
    )


def _swapped(words: tuple[str, ...]) -> tuple[str, ...]:
    ends = {0, len(words) - 1}
    return tuple(
        _LETTERS[word] if word in _LETTERS and place in ends and len(words) > 1 else _OPPOSITE.get(word, word)
        for place, word in enumerate(words)
    )


def _code(label: LabelSpec) -> str:
    codes = (label.type_modifier, label.region_modifier)
    return next((code.value for code in codes if code is not None and code.value in _CODES), "")

"""Which labels lie on the left or on the right, and which of them are each other's counterparts."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

from medseg.spec.labels import LabelSpec

Side: TypeAlias = Literal["left", "right"]

_WORDS: dict[Side, str] = {
    "left": "left lh lt sin links linke linker linkes gauche sinistra sinistro izquierdo izquierda esquerdo esquerda",
    "right": "right rh rt dex rechts rechte rechter rechtes droit droite destra destro derecho derecha direito direita",
}
_SIDES: dict[str, Side] = {word: side for side, words in _WORDS.items() for word in words.split()}
_LETTERS: dict[str, Side] = {"l": "left", "r": "right"}  # sides at the ends of a name only: "Kidney_L", "R lung"
_NO_SIDE = {"copyright", "albright", "forthright"}
_OPPOSITE: dict[str, Side] = {"left": "right", "right": "left"}
_CODES: dict[str, Side] = {"7771000": "left", "24028007": "right"}  # SNOMED CT


def has_side(label: LabelSpec) -> bool:
    """Whether a label is of one side of the body, by its codes or its name."""
    return _mirrored(name_key(label)) != name_key(label)


def counterparts(labels: Sequence[LabelSpec]) -> dict[int, int]:
    """Values of labels that change places in a mirrored patient; those without a side, or alone, are left out.

    Sides are found in names as people write them ("Left kidney", "kidney_left", "Kidney_L", "ctx-lh-insula",
    "LeftLung") and in codes with laterality; a name with a side goes before a code.
    """
    keys = {label.value: name_key(label) for label in labels}
    often = Counter(keys.values())
    values = {key: value for value, key in keys.items() if often[key] == 1}  # of two of one name none is the other's
    found = {value: values.get(_mirrored(key)) for key, value in values.items() if _mirrored(key) != key}
    return {value: other for value, other in found.items() if other is not None}


def name_key(label: LabelSpec) -> tuple[str, ...]:
    """What a label is called, however it is spelt: its words, sorted, and the side that its codes say where they don't.

    "Left kidney", "kidney_left" and "Kidney_L" have one key.
    """
    words = name_words(label.name)
    if not set(words) & set(_OPPOSITE):
        words = (*words, *filter(None, (_coded_side(label),)))
    return tuple(sorted(words))


def name_words(name: str) -> tuple[str, ...]:
    """Words of a name in lower case, those that are a side as "left" or "right".

    A capital inside begins a word, and so do digits, but for those of one letter ("L1").

    Example:
        >>> name_words("Kidney_L"), name_words("ctx-rh-insula"), name_words("vertebrae_L1")
        (('kidney', 'left'), ('ctx', 'right', 'insula'), ('vertebrae', 'l1'))
    """
    pattern = r"(?<![A-Za-z])[A-Za-z]\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+"
    words = [word for part in re.findall(pattern, name) for word in _apart(part.lower())]
    ends = {0, len(words) - 1} if len(words) > 1 else set()
    return tuple(
        _LETTERS[word] if word in _LETTERS and place in ends else _SIDES.get(word, word)
        for place, word in enumerate(words)
    )


def _apart(word: str) -> tuple[str, ...]:
    """A side that is written together with what has it ("leftkidney"), and that; or the word as it is."""
    found = re.fullmatch(r"(left|right)(\w{4,})|(\w{4,})(left|right)", word)
    return (word,) if found is None or word in _NO_SIDE else tuple(filter(None, found.groups()))


def _mirrored(key: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(_OPPOSITE.get(word, word) for word in key))


def _coded_side(label: LabelSpec) -> Side | None:
    codes = (label.type_modifier, label.region_modifier)
    return next((_CODES[code.value] for code in codes if code is not None and code.value in _CODES), None)

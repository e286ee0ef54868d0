"""Common anatomical terms with their SNOMED CT codes: what a segment's name means, where that is beyond doubt.

The table is ``anatomy.csv`` beside this file: the term, its code and the code's meaning as DICOM writes it, a colour as
in Slicer's table of anatomy where there is one, other words for it, and the category's code. A test compares it with
pydicom's dictionary.
"""

import csv
import difflib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medseg.spec.errors import ManifestError
from medseg.spec.labels import Code, IntTriple
from medseg.spec.sides import name_words

_TABLE = Path(__file__).with_name("anatomy.csv")
_CATEGORIES = {
    "123037004": "Anatomical Structure",
    "85756007": "Tissue",
    "49755003": "Morphologically Altered Structure",
}
SIDES = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}
_UNSAID = frozenset({"of", "the", "and"})
_ALIKE = 0.75  # of 1: below it two words are not taken for one


@dataclass(frozen=True)
class Term:
    """One structure, perhaps of one side."""

    name: str  # e.g. "left kidney"
    category: Code
    type: Code
    type_modifier: Code | None = None
    color: IntTriple | None = None


def find_term(name: str) -> Term | None:
    """The term that a name stands for as a whole, however it is spelt; None where any word of it is left over.

    Example:
        >>> find_term("kidney_left").name, find_term("Left-Kidney").type.value
        ('left kidney', '64033007')
        >>> find_term("kidney tumour") is None
        True
    """
    words = _words(name)
    whole = _by_words().get(_key(words))
    if whole is not None:
        return whole
    sides = [word for word in words if word in SIDES]
    plain = _by_words().get(_key([word for word in words if word not in SIDES]))
    if plain is None or len(sides) > 1 or any(side in _words(plain.name) for side in SIDES):
        return None
    return _of_side(plain, sides[0]) if sides else plain


def get_term(name: str) -> Term:
    """As ``find_term`` for a name that a person typed.

    Raises:
        ManifestError: when there is no such term; the message lists those that are like it.
    """
    found = find_term(name)
    if found is None:
        close = ", ".join(term.name for term in suggest(name)) or "see 'medseg models terms'"
        msg = f"no anatomical term is called {name!r}; like it: {close}; or give the code as SCT:64033007:Kidney"
        raise ManifestError(msg)
    return found


def suggest(name: str, most: int = 5) -> list[Term]:
    """Terms that a name may stand for, the likeliest first: the sure one, else those that share words with it."""
    sure = find_term(name)
    if sure is not None:
        return [sure]
    words = _words(name)
    sides = {word for word in words if word in SIDES}
    wanted = [word for word in words if word not in SIDES]
    scored = [(_likeness(wanted, term), term) for term in terms()]
    found = [term for score, term in sorted(scored, key=lambda pair: (-pair[0], pair[1].name)) if score > 0][:most]
    if len(sides) != 1:
        return found
    (side,) = sides
    return [_of_side(term, side) if not set(_words(term.name)) & set(SIDES) else term for term in found]


@lru_cache(maxsize=1)
def terms() -> tuple[Term, ...]:
    """Every term of the table, in its order; a side is not part of a term unless its code says it."""
    return tuple(term for term, _words_for_it in _read())


@lru_cache(maxsize=1)
def _read() -> tuple[tuple[Term, tuple[str, ...]], ...]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_row(row) for row in csv.DictReader(file, delimiter=";"))


def _row(row: dict[str, str]) -> tuple[Term, tuple[str, ...]]:
    color: IntTriple | None = None
    if row["color"]:
        red, green, blue = (int(part) for part in row["color"].split(","))
        color = red, green, blue
    term = Term(
        name=row["term"],
        category=Code("SCT", row["category"], _CATEGORIES[row["category"]]),
        type=Code("SCT", row["code"], row["meaning"]),
        color=color,
    )
    return term, (row["term"], row["meaning"], *filter(None, row["synonyms"].split("|")))


@lru_cache(maxsize=1)
def _by_words() -> dict[tuple[str, ...], Term]:
    found: dict[tuple[str, ...], Term] = {}
    for term, names in _read():
        for name in names:
            found.setdefault(_key(_words(name)), term)
    return found


def _of_side(term: Term, side: str) -> Term:
    return Term(f"{side} {term.name}", term.category, term.type, SIDES[side], term.color)


def _words(name: str) -> list[str]:
    return [word for word in name_words(name) if word not in _UNSAID]


def _key(words: list[str]) -> tuple[str, ...]:
    return tuple(sorted(words))


def _likeness(wanted: list[str], term: Term) -> float:
    """Share of the words of both that find each other; a number alone is nothing that terms have in common."""
    words = _words(term.name)
    hits = [word for word in wanted if difflib.get_close_matches(word, words, 1, _ALIKE)]
    return 2 * len(hits) / (len(wanted) + len(words)) if any(word.isalpha() for word in hits) else 0.0

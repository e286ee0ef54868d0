"""Labels that are each other's mirror image in the data, whatever they are called."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from medseg.spec.fields import listed
from medseg.spec.labels import LabelSpec
from medseg.spec.sides import counterparts, has_side
from medseg.training.planning.fingerprint import CaseFacts, Fingerprint

_ALIKE = 3.0  # times that the larger of two sides may have of the smaller
_MOST_CASES = 0.8  # in which the two lie clearly apart; in none they may lie the other way round
_NAMED = 3  # pairs that are said before they are counted


def unmirrorable(labels: Sequence[LabelSpec], fingerprint: Fingerprint) -> str:
    """Why a mirrored patient would be labelled wrongly, even if counterparts change places; "" where it would not.

    Args:
        labels: of the model, with the values of the data set.
        fingerprint: of its cases.
    """
    pairs = counterparts(labels)
    if alone := [label.name for label in labels if has_side(label) and label.value not in pairs]:
        return f"labels have a side and no counterpart ({listed(alone)})"
    return mirrored_words([label for label in labels if label.value not in pairs], fingerprint)


def mirrored_words(labels: Sequence[LabelSpec], fingerprint: Fingerprint) -> str:
    """Say which labels may be the two sides of one thing; "" where none may.

    Of the way from one's centre to the other's most goes from left to right, they hardly overlap in that direction,
    and neither is more than three times as large as the other: so are kidneys and lungs, but not liver and spleen,
    nor a tumour in its organ. Of labels that nobody named it is enough that one lies beside the other.
    """
    said = []
    for first, second in combinations(labels, 2):
        keys = str(first.value), str(second.value)
        both = [case for case in fingerprint.cases if set(keys) <= set(case.places)]
        nameless = all(label.name == f"label {label.value}" for label in (first, second))
        ways = [_way(case, *keys, nameless=nameless) for case in both]
        clear = [way for way in ways if way]
        if len(set(clear)) == 1 and len(clear) >= _MOST_CASES * len(both) and (nameless or _are_alike(both, *keys)):
            right, left = (first, second) if clear[0] > 0 else (second, first)
            said.append(f"{right.name} lies right of {left.name} in {len(clear)} of {len(both)} cases")
    return listed(said, _NAMED)


def _are_alike(cases: Sequence[CaseFacts], first: str, second: str) -> bool:
    sizes = [np.median([case.voxels[label] * np.prod(case.spacing_mm) for case in cases]) for label in (first, second)]
    return bool(max(sizes) <= _ALIKE * min(sizes))


def _way(case: CaseFacts, first: str, second: str, *, nameless: bool) -> int:
    """1 where the first lies right of the second, -1 where left of it, 0 where that is not what sets them apart."""
    one, other = case.places[first], case.places[second]
    apart = np.subtract(one.centre_mm, other.centre_mm)
    aside = abs(apart[0])
    if aside <= one.spread_mm + other.spread_mm or (not nameless and aside < np.abs(apart[1:]).max()):
        return 0
    return 1 if apart[0] > 0 else -1

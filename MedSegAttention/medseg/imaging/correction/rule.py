"""How the learned answer becomes a change: only where it is sure enough, less with distance, nothing at the reach."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURE = np.float32(0.99)  # probability of the stroke's label in its own voxels, at least
_LEAST = np.float32(1e-3)  # a probability at which its logit is cut
_LEFT = np.float32(1e-6)  # of each label where a stroke changed something: another stroke can bring it back


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Numbers of the rule.

    Attributes:
        doubt: logits that an answer must have beyond "as likely as not" before a voxel changes, where the error is as
            thin as a voxel or two: there a wrong guess costs as much as a right one gains.
        thin_mm: depth of a stroke up to which ``doubt`` counts whole, at the usual reach.
        thick_mm: depth from which it counts nothing.
        full: part of the reach within which an answer counts fully; from there it fades to 0 at the reach.
    """

    doubt: float = 0.5
    thin_mm: float = 1.5
    thick_mm: float = 3.0
    full: float = 0.7

    def doubt_at(self, depth: float) -> float:
        """The doubt about an answer to a stroke whose label is so far away, mm at the usual reach."""
        return self.doubt * min(max((self.thick_mm - depth) / (self.thick_mm - self.thin_mm), 0.0), 1.0)


DEFAULT_RULE = Rule()


def logit(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """ln(p / (1 - p)), finite at 0 and 1."""
    found: NDArray[np.float32] = np.log((p + _LEAST) / (1 - p + _LEAST)).astype(np.float32)
    return found


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)) without overflow."""
    found: NDArray[np.float32] = (0.5 + 0.5 * np.tanh(0.5 * logits)).astype(np.float32)
    return found


def fading(distance: NDArray[np.float32], reach: float, full: float) -> NDArray[np.float32]:
    """1 within ``full * reach`` of the stroke, from there a cosine to exactly 0 at the reach."""
    part = np.clip((distance / reach - full) / (1 - full), 0, 1)
    return np.where(distance < reach, 0.5 + 0.5 * np.cos(np.pi * part), 0).astype(np.float32)


def raised(
    before: NDArray[np.float32],
    answer: NDArray[np.float32],
    distance: NDArray[np.float32],
    reach: float,
    depth: float,
    rule: Rule,
) -> NDArray[np.float32]:
    """The probability of the stroke's label after the stroke, which never lowers it.

    Args:
        before: ``(N,)`` probabilities.
        answer: ``(N,)`` logits of "this voxel takes the label".
        distance: ``(N,)``, to the stroke in mm.
        reach: mm.
        depth: of the stroke, see ``Surroundings.depth``.
        rule: how sure the answer must be.

    Returns:
        ``(N,)``, exactly ``before`` where nothing is raised.
    """
    start = logit(before)
    wanted = start + fading(distance, reach, rule.full) * (answer - np.float32(rule.doubt_at(depth)) - start)
    return np.where(wanted > start, np.maximum(sigmoid(wanted), before), before)


def share(before: NDArray[np.float32], value: int, new: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities ``(L, N)`` with a new one ``(N,)`` for one label; the others keep their order and fill up to 1."""
    shares = before * ((1 - new) / np.maximum(1 - before[value], _LEFT))
    shares[value] = new
    shares = np.maximum(shares, _LEFT)
    kept: NDArray[np.float32] = shares / shares.sum(axis=0)
    return kept

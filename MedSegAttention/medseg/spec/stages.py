"""Models made of several: stages, each a whole model, what each is shown, and how their answers become one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

from medseg.spec.labels import LabelSpec, refuse

STAGED = "stages"
"""What stands for the network of a model whose stages have networks of their own."""

Join: TypeAlias = Literal["overwrite", "mean"]


@dataclass(frozen=True, kw_only=True)
class FoundBox:
    """The part of an image that a stage is shown: the box around what an earlier stage found there."""

    stage: str  # the earlier one
    labels: tuple[str, ...] = ()  # of that stage; none: all of them
    margin_mm: float = 20.0  # on every side, along the image's own axes

    def __post_init__(self) -> None:
        """Refuse a margin that is none."""
        if not (isfinite(self.margin_mm) and self.margin_mm >= 0):
            refuse("margin_mm", "a number from 0", self.margin_mm)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage: a model in ``stages/``, beside the manifest that names it.

    Attributes:
        name: of the stage.
        folder: in ``stages/``; empty: its name. Stages may share one.
        within: the part of the image it is shown; None: all of it.
        previous: an earlier stage whose labels it is shown too, as one-hot channels; empty: none.
        answers: value in the result of each of its labels that counts, by the label's name; none: it only helps.
    """

    name: str
    folder: str = ""
    within: FoundBox | None = None
    previous: str = ""
    answers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that are no plain names of folders, and answers with the background's value."""
        for key, name in (("name", self.name), ("folder", self.place)):
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
                refuse(key, "letters, digits, dots, dashes and underscores", name)
        if wrong := {name: value for name, value in self.answers.items() if value < 1}:
            refuse("answers", "values from 1 (0 is background)", wrong)

    @property
    def place(self) -> str:
        """Its folder in ``stages/``."""
        return self.folder or self.name


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Stages, run one after the other, and how their answers are joined.

    ``overwrite``: what a stage finds takes the place of what those before it found. ``mean``: every stage that answers
    does so for all labels, their probabilities are averaged, and the largest is taken.
    """

    stages: tuple[StageSpec, ...]
    join: Join = "overwrite"

    def __post_init__(self) -> None:
        """Refuse stages of one name, and stages that build upon what comes later."""
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            refuse("stages", "at least one, with names that differ", names)
        for number, stage in enumerate(self.stages):
            for word, other in (("within", stage.within and stage.within.stage), ("previous", stage.previous)):
                if other and other not in names[:number]:
                    expected = f"a stage before {stage.name!r}, of {', '.join(names[:number]) or 'none'}"
                    refuse(f"stages[{number}].{word}", expected, other)

    def check_labels(self, values: Sequence[int]) -> None:
        """Refuse answers that are none of a model's labels, and labels that no stage gives."""
        given = {value for stage in self.stages for value in stage.answers.values()}
        if given != set(values):
            expected = f"answers that are the values {sorted(values)}, each by a stage"
            refuse("composition.stages", expected, sorted(given))
        for stage in self.stages if self.join == "mean" else ():
            if stage.answers and sorted(stage.answers.values()) != sorted(values):
                expected = f"each of the values {sorted(values)} once in every stage that answers, to average them"
                refuse("composition.stages", expected, dict(stage.answers))

    def needs(self, name: str, after: int) -> bool:
        """Whether a stage after so many uses the labels of the named one."""
        return any(
            name == stage.previous or (stage.within is not None and stage.within.stage == name)
            for stage in self.stages[after:]
        )

    @property
    def answering(self) -> Sequence[StageSpec]:
        """The stages whose labels count."""
        return [stage for stage in self.stages if stage.answers]


def check_composition(
    rule: Composition | None, network: str, labels: Sequence[LabelSpec], located: object, overlapping: object
) -> None:
    """Refuse a composition that does not fit the rest of its manifest.

    Args:
        rule: of the manifest; None: it is one network.
        network: its name.
        labels: of the result.
        located: where the model is located first, which one with stages is not.
        overlapping: how its labels overlap; then stages are averaged, be it one alone, and none looks around another.
    """
    if (rule is not None) != (network == STAGED):
        refuse("network", f"{STAGED!r} with a composition, and the name of a network without", network)
    if rule is None:
        return
    rule.check_labels([label.value for label in labels])
    if located is not None:
        refuse("composition", "no place for the whole", "locate")
    if overlapping is not None and (rule.join != "mean" or any(stage.within is not None for stage in rule.stages)):
        expected = "stages over the whole image that are averaged, for labels that overlap"
        refuse("composition", expected, [stage.name for stage in rule.stages])
